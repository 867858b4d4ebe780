/** The command `rcopy path serve`: a path controller, run until it is asked to stop. */
import * as Flags from '@oclif/core/flags';
import { RcopyCommand } from '../../src/cli/command.ts';
import { daemonFlags } from '../../src/cli/daemon-flags.ts';
import { durationFlag, setArg } from '../../src/cli/flags.ts';
import type { ServedAnswer } from '../../src/cli/run-daemon.ts';

const LOCK_WAIT_MS_DEFAULT = 10_000;

export default class PathServe extends RcopyCommand {
  static override summary = 'Run a path controller: hosts stay connected to it while sets change.';
  static override description =
    'Hosts connect to it over NBD instead of to a set. It passes their requests on to the set ' +
    'that each export leads to; when a migration moves that, it holds them for a moment, and ' +
    'goes on at the new set. A set that is out of reach is waited for, up to the hold limit.\n\n' +
    'STATEDIR keeps what it must not forget; it is made at the first start. Sets are given to it ' +
    'with `path add`, and have daemons of their own. Settings come from flags, then from ' +
    '--config, or from rcopy.toml in STATEDIR where there is one: the same names, and [limits].';

  static override examples = [
    {
      description: 'On the host itself: programs connect to a unix socket',
      command: '<%= config.bin %> path serve ./gate --nbd unix:/tmp/gate.sock',
    },
    {
      description: 'On a machine between hosts and storage, commanded from others',
      command: '<%= config.bin %> path serve ./gate --nbd 127.0.0.1:10809 --listen 127.0.0.1:7080',
    },
    {
      description: 'Give it a set, which has a daemon',
      command: '<%= config.bin %> path add ./gate db rcopy://127.0.0.1:7070',
    },
    {
      description: 'Connect a host',
      command: "nbdcopy 'nbd+unix:///db?socket=/tmp/gate.sock' backup.img",
    },
  ];

  static override args = {
    statedir: setArg({ description: 'folder of the controller; made when there is none' }),
  };

  static override baseFlags = {
    ...RcopyCommand.baseFlags,
    'lock-wait': durationFlag({
      description: 'how long to wait for another process that has STATEDIR',
      default: LOCK_WAIT_MS_DEFAULT,
      defaultHelp: async () => '10s',
      helpGroup: 'GLOBAL',
    }),
  };

  static override flags = {
    nbd: Flags.string({
      description: 'where hosts reach its exports; has to be given here or in the settings',
      helpValue: 'HOST:PORT|unix:PATH',
    }),
    listen: Flags.string({
      description: 'where commands reach it beside its folder; port 0 takes a free one',
      helpValue: 'HOST:PORT',
    }),
    'hold-limit': Flags.string({
      description: 'how long hosts wait while no set answers, before they get an error (60s)',
      helpValue: 'TIME',
    }),
    ...daemonFlags,
  };

  async run(): Promise<ServedAnswer> {
    const { args, flags } = await this.parse(PathServe);
    const { servePath } = await import('../../src/cli/path-serve.ts');
    const { listen, advertise, nbd, insecure, config } = flags;
    return servePath({
      dir: args.statedir,
      lockWaitMs: flags['lock-wait'],
      untilInputEnds: flags['until-stdin-ends'],
      config,
      listen,
      advertise,
      nbd,
      insecure,
      'hold-limit': flags['hold-limit'],
      'log-level': flags['log-level'],
      'log-format': flags['log-format'],
    });
  }
}
