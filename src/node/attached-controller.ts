/** One path controller while it speaks with a set, as the set sees it. */
import { RcopyError } from '../base/errors.ts';
import type { ControllerEntry } from '../format/set-file.ts';
import type { PathWord, ReportCall } from './path-calls.ts';

export class AttachedController {
  readonly entry: ControllerEntry;
  readonly generation: number;
  /** Known to the set when the reign began, or was so when it came. */
  expected: boolean;
  /** Lost writes that were taken again in this reign, on streams of any generation. */
  replayed = 0;
  report: ReportCall | undefined;
  /** Ends its NBD streams at once. */
  readonly streams = new Set<(error: RcopyError) => void>();
  /** Answers its watch. */
  waiting: ((word: PathWord) => void) | undefined;
  told: PathWord | undefined;
  /** It speaks with this set now; else its streams may still be there. */
  isLinked = true;
  isFenced = false;

  constructor(entry: ControllerEntry, generation: number, expected: boolean) {
    this.entry = entry;
    this.generation = generation;
    this.expected = expected;
  }

  drop(why: string): void {
    this.isLinked = false;
    this.isFenced = true;
    const error = new RcopyError('E_STOPPED', why);
    for (const end of this.streams) end(error);
    this.streams.clear();
  }
}
