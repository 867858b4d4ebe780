/** The command `rcopy create`: a new image set. */
import * as Flags from '@oclif/core/flags';
import { JOURNAL_BYTES_DEFAULT } from '../src/base/limits.ts';
import type { CreateAnswer } from '../src/node/answers.ts';
import { SetCommand } from '../src/cli/command.ts';
import { createView } from '../src/cli/views.ts';
import { setArg, sizeFlag, volumeSpecFlag } from '../src/cli/flags.ts';
import { distinctVolumes } from '../src/cli/names.ts';

export default class Create extends SetCommand {
  static override summary = 'Make a new image set in a folder.';
  static override description =
    'An image set holds the volumes of one consistency group: a raw, sparse image file for ' +
    'each, the journal that every write goes through, and its own identity. A folder that is ' +
    'not empty is refused. Sizes take K, M, G and T (binary).';

  static override examples = [
    {
      description: 'One volume of 10 GiB',
      command: '<%= config.bin %> create ./tokyo --volume db=10G',
    },
    {
      description: 'Two volumes that share one write order, and a larger journal',
      command:
        '<%= config.bin %> create ./tokyo --volume data=100G --volume log=8G --journal-size 4G',
    },
    {
      description: 'Hosts that must never wait for the secondary',
      command: '<%= config.bin %> create ./tokyo --volume db=10G --journal-full map',
    },
  ];

  static override args = {
    dir: setArg({ description: 'folder to make it in; new, or empty' }),
  };

  static override flags = {
    volume: volumeSpecFlag({
      description: 'a volume to make; give it once for each',
      required: true,
      multiple: true,
      multipleNonGreedy: true,
    }),
    'journal-size': sizeFlag({
      description: 'room for records that are still needed',
      default: JOURNAL_BYTES_DEFAULT,
      defaultHelp: async () => '1G',
    }),
    'journal-full': Flags.option({ options: ['slow', 'map'] as const })({
      summary: 'what a journal does that is full of what the secondary lacks',
      description:
        'slow: hosts wait until the secondary has more, and are refused when nobody sends.\n' +
        'map: hosts go on, and the pair is suspended: a map keeps which blocks change, and the ' +
        'next `rcopy replicate` copies those.',
      default: 'slow',
    }),
    'if-missing': Flags.boolean({
      description: 'change nothing, and succeed, when the same set is there already',
    }),
  };

  async run(): Promise<CreateAnswer> {
    const { args, flags } = await this.parse(Create);
    const request = {
      folder: args.dir,
      volumes: distinctVolumes(flags.volume),
      journalBytes: flags['journal-size'],
      whenFull: flags['journal-full'],
      ifMissing: flags['if-missing'],
    };
    const answer = await this.withSite(flags['lock-wait'], (site) => site.create(request));
    this.print(createView(answer, args.dir, await this.paint()));
    return answer;
  }
}
