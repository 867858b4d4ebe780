/** The command `rcopy daemon`: one image set, served until it is asked to stop. */
import * as Flags from '@oclif/core/flags';
import type { ReplicateAnswer } from '../src/node/answers.ts';
import { SetCommand } from '../src/cli/command.ts';
import type { ServedAnswer } from '../src/cli/run-daemon.ts';
import { daemonFlags } from '../src/cli/daemon-flags.ts';
import { setArg } from '../src/cli/flags.ts';
import { replicateView } from '../src/cli/views.ts';

export default class Daemon extends SetCommand {
  static override summary = 'Serve a set: to hosts over NBD, to its pair, to commands.';
  static override description =
    'Hosts reach each volume as an NBD export of its name. What the secondary lacks is sent as ' +
    'it comes; when the link was down, from where it was. Other commands that name the folder ' +
    'or the address ask this daemon. Ctrl-C or SIGTERM stop it in order: nothing acknowledged is ' +
    'lost, and the raw images are complete then.\n\n' +
    'Settings come from flags, then from --config, or from rcopy.toml in DIR where there is ' +
    'one: the same names, and [limits].';

  static override examples = [
    {
      description: 'A primary that local hosts reach at a unix socket',
      command:
        '<%= config.bin %> daemon ./tokyo --listen 127.0.0.1:7070 --nbd unix:/tmp/tokyo.sock',
    },
    {
      description: 'Its secondary; hosts may look at it, read-only',
      command: '<%= config.bin %> daemon ./kyoto --listen 127.0.0.1:7071 --nbd 127.0.0.1:10809',
    },
    {
      description: 'The pair of them',
      command: '<%= config.bin %> pair create rcopy://127.0.0.1:7070 rcopy://127.0.0.1:7071',
    },
    {
      description: 'Send what the secondary lacks, then exit',
      command: '<%= config.bin %> daemon ./tokyo --once',
    },
  ];

  static override args = {
    dir: setArg({ description: 'folder of the image set' }),
  };

  static override flags = {
    listen: Flags.string({
      description: 'where commands and other sets reach it; port 0 takes a free one',
      helpValue: 'HOST:PORT',
    }),
    nbd: Flags.string({
      description: 'where hosts reach its volumes',
      helpValue: 'HOST:PORT|unix:PATH',
    }),
    once: Flags.boolean({
      description: 'return when the secondary has everything that is numbered now',
    }),
    'max-rate': Flags.string({
      description: 'bytes a second to the secondary; as fast as it goes by default',
      helpValue: 'RATE',
    }),
    'ack-timeout': Flags.string({
      description: 'with `--ack remote`: how long flushes wait for a link that is down',
      helpValue: 'TIME',
    }),
    'room-wait': Flags.string({
      description: 'how long hosts wait when the journal is full, before they get an error',
      helpValue: 'TIME',
    }),
    ...daemonFlags,
  };

  async run(): Promise<ServedAnswer | ReplicateAnswer> {
    const { args, flags } = await this.parse(Daemon);
    const { serve } = await import('../src/cli/daemon.ts');
    const answer = await serve({ ...flags, dir: args.dir, lockWaitMs: flags['lock-wait'] });
    if ('sentRecords' in answer) this.print(replicateView(answer, await this.paint()));
    return answer;
  }
}
