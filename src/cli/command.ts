/** What all commands share: the common flags, the forms of results and failures, a set's life. */
import { resolve } from 'node:path';
import { Command } from '@oclif/core/command';
import * as Flags from '@oclif/core/flags';
import { LINK_BEAT_MS } from '../base/limits.ts';
import type { Site } from '../control/site.ts';
import type { OnProgress, PairAnswer, ReplicatedPairAnswer } from '../node/answers.ts';
import type { SetService } from '../node/set-service.ts';
import { FailedCheck, StoppedBySignal, failureJson, failureOf, stackOf } from './failure.ts';
import { durationFlag } from './flags.ts';
import { canRedraw, loadPaint, plainPaint, wantsColor } from './paint.ts';
import type { Paint, Screen } from './paint.ts';
import type { Task } from './progress.ts';
import { watchSignals } from './stop-signals.ts';

const LOCK_WAIT_MS_DEFAULT = 10_000;

/** A command with the common flags. */
export abstract class RcopyCommand extends Command {
  static override enableJsonFlag = true;

  static override baseFlags = {
    verbose: Flags.boolean({
      description: 'show where a failure comes from',
      helpGroup: 'GLOBAL',
    }),
    'no-color': Flags.boolean({
      description: 'never use colours; NO_COLOR does the same',
      helpGroup: 'GLOBAL',
    }),
  };

  /** Prints lines of the result on stdout, unless the result is wanted as JSON. */
  protected print(lines: readonly string[]): void {
    if (lines.length > 0 && !this.jsonEnabled()) process.stdout.write(`${lines.join('\n')}\n`);
  }

  /** The paint for the result. */
  protected paint(): Promise<Paint> {
    return this.paintFor(process.stdout);
  }

  /** How the user calls this command: `rcopy pair create`. */
  protected callName(): string {
    return [this.config.bin, ...(this.id ?? '').split(':')].join(' ').trim();
  }

  /**
   * Runs something long; what it reports is drawn on stderr when that is a terminal, and is gone
   * again when this returns.
   */
  protected async withProgress<T>(
    label: string,
    action: (report: OnProgress) => Promise<T>,
  ): Promise<T> {
    if (!canRedraw(process.stderr, process.env)) return action(() => undefined);
    const { startTask } = await import('./progress.ts');
    const { nodeClock } = await import('../sys/node-clock.ts');
    const task: Task = startTask(label, nodeClock, await this.paintFor(process.stderr));
    try {
      return await action((progress) => task.report(progress));
    } finally {
      task.stop();
    }
  }

  /**
   * A set as another one should keep it: whoever follows it later may stand in another folder.
   */
  protected addressOf(set: string): string {
    return /^[a-z]+:\/\//.test(set) ? set : resolve(set);
  }

  override logJson(json: unknown): void {
    process.stdout.write(`${JSON.stringify(json, undefined, 2)}\n`);
  }

  /** Says what went wrong in the one form that all failures have, and ends with its exit code. */
  protected override async catch(error: Error): Promise<void> {
    if ((error as { code?: unknown }).code === 'EEXIT') throw error;
    const failure = failureOf(error, this.callName());
    if (this.argv.includes('--verbose') || (process.env['DEBUG'] ?? '') !== '') {
      process.stderr.write(`${stackOf(error)}\n`);
    }
    if (this.jsonEnabled()) {
      this.logJson(failureJson(error, failure));
    } else if (!(error instanceof FailedCheck && error.silent)) {
      const { strong, bad, faint } = await this.paintFor(process.stderr);
      process.stderr.write(`${strong(bad('error:'))} ${failure.message}\n`);
      if (failure.hint !== undefined) process.stderr.write(`${faint('hint:')}  ${failure.hint}\n`);
    }
    this.exit(failure.exitCode);
  }

  private async paintFor(screen: Screen): Promise<Paint> {
    const refused = this.argv.includes('--no-color');
    return wantsColor(screen, process.env, refused) ? loadPaint() : plainPaint;
  }
}

/** A command that opens image sets. */
export abstract class SetCommand extends RcopyCommand {
  /** What somebody who stopped the command in the middle can do next. */
  protected readonly stoppedHint: string | undefined = undefined;

  static override baseFlags = {
    ...RcopyCommand.baseFlags,
    'lock-wait': durationFlag({
      description: 'how long to wait for another command that holds the set',
      default: LOCK_WAIT_MS_DEFAULT,
      defaultHelp: async () => '10s',
      helpGroup: 'GLOBAL',
    }),
  };

  /**
   * Opens the place where sets live, runs `action`, and closes all that it opened, however it
   * ended. A signal ends the wait for `action`, not the closing; a second signal ends all.
   */
  protected async withSite<T>(lockWaitMs: number, action: (site: Site) => Promise<T>): Promise<T> {
    const signals = watchSignals(process);
    try {
      const { Site } = await import('../control/site.ts');
      const { nodeEnvironment } = await import('../sys/node-environment.ts');
      const site = new Site(nodeEnvironment, { lockWaitMs, beatMs: LINK_BEAT_MS });
      let result: T;
      try {
        result = await Promise.race([action(site), signals.stopped]);
      } catch (error) {
        await this.closeAfter(error, site);
        if (!(error instanceof StoppedBySignal)) throw error;
        throw new StoppedBySignal(error.signal, this.stoppedHint);
      }
      await site.close();
      return result;
    } finally {
      signals.release();
    }
  }

  /** Brings the secondary up to date after a change of its pair; the answer tells of both. */
  protected async replicated(node: SetService, made: PairAnswer): Promise<ReplicatedPairAnswer> {
    const replicated = await this.withProgress('copying', (onProgress) =>
      node.replicate({ timeoutMs: undefined, maxRate: undefined, onProgress }),
    );
    const pair = made.pair && { ...made.pair, state: replicated.state };
    return { ...made, pair, replicated };
  }

  /**
   * Closes after a failure. That the set could not be closed is worth telling only to somebody who
   * stopped the command himself: else it follows from what is told anyway.
   */
  private async closeAfter(failure: unknown, site: Site): Promise<void> {
    try {
      await site.close();
    } catch (error) {
      if (failure instanceof StoppedBySignal) throw error;
    }
  }
}
