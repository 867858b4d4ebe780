/** Waiting until the secondary has restored something. */
import { RcopyError } from '../base/errors.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import type { WaitAnswer } from './answers.ts';
import { notPaired } from './replication.ts';
import type { Replication } from './replication.ts';
import type { Patience, WaitRequest } from './requests.ts';

/**
 * Resolves when the secondary has restored what is asked for. On the secondary itself that is its
 * own applied number; on a primary its secondary's word. Rejects with `E_TIMEOUT`.
 */
export async function waitFor(
  set: ImageSet,
  replication: Replication,
  request: WaitRequest,
): Promise<WaitAnswer> {
  const { pair, role } = set.file;
  if (!pair) throw notPaired(set);
  let sequence = wanted(set, request);
  const letGo = role === 'primary' ? replication.want() : undefined;
  try {
    const what = sequence === undefined ? describeWait(request) : `number ${sequence} restored`;
    await withTimeout(set, request, what, () => {
      sequence ??= wanted(set, request);
      if (sequence !== undefined && restoredIn(set) >= sequence) return true;
      if (replication.trouble) throw replication.trouble;
      return false;
    });
  } finally {
    await letGo?.();
  }
  return { sequence: sequence ?? NO_COPY, restoredSequence: restoredIn(set) };
}

/** Up to where there is a usable second copy, as far as this set knows; there may be none. */
function restoredIn({ file, usable, applied, secondary }: ImageSet): number {
  if (file.role === 'secondary') return usable ? applied.sequence : NO_COPY;
  if (file.pair?.state === 'copying') return NO_COPY;
  return secondary?.restored.sequence ?? NO_COPY;
}
/** Less than any number, also than that of a set that was never written. */
const NO_COPY = -1;

/**
 * The number that has to be restored; undefined for a mark that may still be on its way to this
 * secondary. Throws `E_NOT_FOUND` where a mark would be known.
 */
function wanted(set: ImageSet, { until }: WaitRequest): number | undefined {
  switch (until.kind) {
    case 'synced':
      return set.newest;
    case 'sequence':
      return until.sequence;
    case 'mark': {
      const mark = set.marks.findLast(({ name }) => name === until.name);
      if (mark) return mark.sequence;
      if (set.file.role === 'secondary') return undefined;
      throw new RcopyError('E_NOT_FOUND', `${set.file.name} knows no mark ${until.name}`, {
        hint: 'set one with `rcopy mark SET NAME` on the primary',
      });
    }
  }
}

/**
 * Whether waiting in this process can bring it about: it is there already, or this set is the
 * primary that has it and can send it.
 */
export function canReach(set: ImageSet, request: WaitRequest): boolean {
  if (!set.file.pair) throw notPaired(set);
  const sequence = wanted(set, request);
  if (sequence === undefined) return false;
  if (restoredIn(set) >= sequence) return true;
  return set.file.role === 'primary' && sequence <= set.newest;
}

/** What a wait waits for, in words. */
export function describeWait({ until }: WaitRequest): string {
  switch (until.kind) {
    case 'synced':
      return 'everything restored';
    case 'sequence':
      return `number ${until.sequence} restored`;
    case 'mark':
      return `mark ${until.name} restored`;
  }
}

/** The error of a wait that came to its end. */
export function timedOut(what: string, timeoutMs: number): RcopyError {
  return new RcopyError('E_TIMEOUT', `${what}: not within ${timeoutMs} ms`, {
    hint: 'see `rcopy status`, or give --timeout more time',
  });
}

/** A hundred years: a wait without a limit still keeps its process alive. */
const FOREVER_MS = 100 * 365 * 24 * 3600 * 1000;

/**
 * `set.until` with a limit. Rejects with `E_TIMEOUT`, naming what did not come, or with `E_STOPPED`
 * when nobody waits for it any more.
 */
export async function withTimeout(
  set: ImageSet,
  { timeoutMs, signal }: Patience,
  what: string,
  condition: () => boolean,
): Promise<void> {
  let late = false;
  const gone = () => set.changed();
  signal?.addEventListener('abort', gone);
  const timer = set.environment.clock.alarm(timeoutMs ?? FOREVER_MS, () => {
    late = true;
    set.changed();
  });
  try {
    await set.until(() => {
      if (condition()) return true;
      if (late) throw timedOut(what, timeoutMs ?? FOREVER_MS);
      if (signal?.aborted) throw new RcopyError('E_STOPPED', `${what}: nobody waits for it now`);
      return false;
    });
  } finally {
    timer.cancel();
    signal?.removeEventListener('abort', gone);
  }
}
