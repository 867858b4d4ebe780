/** One set that a path controller keeps in touch with: its session, and when to dial again. */
import { RcopyError } from '../base/errors.ts';
import { PATH_RETRY_FIRST_MS } from '../base/limits.ts';
import type { PeerIdentity } from '../format/set-file.ts';
import type { Timer } from '../sys/clock.ts';
import type { PathWord } from './path-calls.ts';
import type { PathSession } from './path-session.ts';

export class Place {
  readonly set: PeerIdentity;
  session: PathSession | undefined;
  retry: Timer | undefined;
  retryMs = PATH_RETRY_FIRST_MS;
  /** Why it could not be reached last. */
  trouble: RcopyError | undefined;

  constructor(set: PeerIdentity) {
    this.set = set;
  }

  get word(): PathWord | undefined {
    return this.session?.word;
  }

  leave(reason: string): void {
    this.retry?.cancel();
    this.retry = undefined;
    const { session } = this;
    this.session = undefined;
    session?.end(new RcopyError('E_STOPPED', reason));
  }
}
