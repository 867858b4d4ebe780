/** The command `rcopy demo`: the whole story in a scratch folder, live, proved at the end. */
import { join } from 'node:path';
import * as Flags from '@oclif/core/flags';
import type { DemoAnswer } from '../src/cli/demo/answer.ts';
import { demoView } from '../src/cli/demo/view.ts';
import { RcopyCommand } from '../src/cli/command.ts';
import { FailedCheck } from '../src/cli/failure.ts';
import { pathFlag } from '../src/cli/flags.ts';
import { canRedraw, loadPaint, plainPaint, wantsColor } from '../src/cli/paint.ts';
import type { Paint, Screen } from '../src/cli/paint.ts';
import { watchSignals } from '../src/cli/stop-signals.ts';

const SECONDS_DEFAULT = 10;
const SECONDS_MAX = 3600;

export default class Demo extends RcopyCommand {
  static override summary = 'Move a volume while a host writes, and prove that nothing was lost.';
  static override description =
    'Three sets in a scratch folder, each with a daemon, and a path controller: a host ' +
    'writes over NBD through it to tokyo (A), kyoto (C) is its copy, and the volumes move to ' +
    'osaka (B) while the host goes on, on the same connections. Then tokyo is switched off. A ' +
    'separate program that shares no code with rcopy keeps its own model of every acknowledged ' +
    "write, and in the end compares it with kyoto's images byte by byte. Needs about 1 GiB of " +
    'disk for as long as it runs.';

  static override examples = [
    '<%= config.bin %> demo',
    {
      description: 'A longer one, whose sets stay to be looked at',
      command: '<%= config.bin %> demo --seconds 60 --keep ./demo',
    },
  ];

  static override flags = {
    keep: pathFlag({
      description: 'play in this new folder, and leave it there',
      helpValue: 'DIR',
    }),
    seconds: Flags.integer({
      description: 'how long the host writes',
      helpValue: 'N',
      default: SECONDS_DEFAULT,
      min: 1,
      max: SECONDS_MAX,
    }),
    mode: Flags.option({
      description: 'how kyoto gets what tokyo still owes it: see `rcopy migrate --help`',
      options: ['drain', 'handoff', 'bitmap'] as const,
      default: 'drain' as const,
    })(),
    copy: Flags.option({
      description: 'when osaka gets the contents: after the switch, or before it',
      options: ['post', 'pre'] as const,
      default: 'post' as const,
    })(),
  };

  async run(): Promise<DemoAnswer> {
    const { flags } = await this.parse(Demo);
    const { playDemo } = await import('../src/cli/demo/play.ts');
    const { runProgram } = await import('../src/cli/demo/programs.ts');
    const { nodeEnvironment } = await import('../src/sys/node-environment.ts');
    const { nodeNetwork } = await import('../src/sys/node-network.ts');
    const signals = watchSignals(process);
    const answer = await playDemo({
      environment: nodeEnvironment,
      network: nodeNetwork,
      keep: flags.keep,
      seconds: flags.seconds,
      mode: flags.mode,
      copy: flags.copy,
      program: join(this.config.root, 'bin', 'run.js'),
      witnessProgram: join(this.config.root, 'bin', 'witness.js'),
      run: runProgram,
      stopped: signals.stopped,
      print: (line) => this.print([line]),
      paint: await this.paint(),
      screenPaint: await this.screenPaint(),
    }).finally(() => signals.release());
    this.print(demoView(answer, await this.paint()));
    if (answer.proved) return answer;
    throw new FailedCheck('E_DIFFERENT', 'the demo could not prove everything', answer, {
      hint: 'play it again with --keep DIR, and look at the sets',
    });
  }

  /** The paint of the terminal on stderr; undefined when there is none to draw on. */
  private async screenPaint(): Promise<Paint | undefined> {
    const screen: Screen = process.stderr;
    if (!canRedraw(screen, process.env)) return undefined;
    const refused = this.argv.includes('--no-color');
    return wantsColor(screen, process.env, refused) ? loadPaint() : plainPaint;
  }
}
