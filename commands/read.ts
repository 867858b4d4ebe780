/** The command `rcopy read`: what a host would read now. */
import { RcopyError } from '../src/base/errors.ts';
import { writeToFile, writeToStream } from '../src/cli/bytes-out.ts';
import { SetCommand } from '../src/cli/command.ts';
import { pathFlag, setArg, sizeFlag, volumeFlag } from '../src/cli/flags.ts';
import { formatSize } from '../src/base/sizes.ts';

/** What there is to tell when the bytes themselves went into a file. */
interface ReadAnswer {
  readonly offset: number;
  readonly length: number;
  readonly output: string;
}

export default class Read extends SetCommand {
  static override summary = 'Read from a volume as a host would.';
  static override description =
    'The bytes go to stdout as they are, or into a file with --output. A secondary is read in ' +
    'the same way: what it shows is its newest restored state.';

  static override examples = [
    {
      description: 'Look at the first bytes',
      command: '<%= config.bin %> read ./tokyo --offset 0 --length 512 | xxd | head',
    },
    {
      description: 'Keep a megabyte in a file',
      command: '<%= config.bin %> read ./tokyo --offset 1M --length 1M --output ./part.bin',
    },
  ];

  static override args = { set: setArg({ description: 'image set to read from' }) };

  static override flags = {
    volume: volumeFlag,
    offset: sizeFlag({ description: 'where the first byte is', required: true }),
    length: sizeFlag({ description: 'how many bytes', required: true }),
    output: pathFlag({ description: 'file to write them to, instead of stdout' }),
  };

  async run(): Promise<ReadAnswer | undefined> {
    const { args, flags } = await this.parse(Read);
    const { volume, offset, length, output } = flags;
    if (output === undefined && this.jsonEnabled()) {
      throw new RcopyError('E_USAGE', '--json needs --output: the bytes themselves go to stdout');
    }
    const { nodeFiles } = await import('../src/sys/node-files.ts');
    const answer = await this.withSite(flags['lock-wait'], async (site) => {
      const bytes = (await site.open(args.set)).read({ volume, offset, length });
      if (output !== undefined) {
        return { offset, length: await writeToFile(bytes, nodeFiles, output), output };
      }
      await writeToStream(bytes, process.stdout);
      return undefined;
    });
    if (answer !== undefined) {
      const { good } = await this.paint();
      this.print([`${good('✓')} read ${formatSize(answer.length)} into ${answer.output}`]);
    }
    return answer;
  }
}
