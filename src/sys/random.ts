/** Randomness as the rest of the program sees it: given from outside, so that tests seed it. */

export interface Random {
  /** `length` unpredictable bytes. */
  bytes(length: number): Uint8Array;
  /** A whole number from 0 to `bound` - 1. */
  below(bound: number): number;
}
