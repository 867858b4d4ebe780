/** Real randomness behind {@link Random}: good enough for identifiers that must never meet. */
import { randomBytes, randomInt } from 'node:crypto';
import type { Random } from './random.ts';

/** The generator of the machine that this process runs on; `below` goes up to 2^48 - 1. */
export const nodeRandom: Random = {
  bytes: (length) => randomBytes(length),
  below: (bound) => randomInt(bound),
};
