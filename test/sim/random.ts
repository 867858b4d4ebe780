/**
 * Randomness from a seed: xoshiro128** 1.1 by David Blackman and Sebastiano Vigna
 * (https://prng.di.unimi.it/xoshiro128starstar.c), its state filled by splitmix32.
 */
import type { Random } from '../../src/sys/random.ts';

// Looking up a global costs much more under jest than what it does here.
const { floor, imul } = Math;

/** The same numbers for the same seed, on every machine. */
export function seededRandom(seed: number): Random {
  const next = xoshiro128(seed);
  /** A fraction in [0, 1) with 53 random bits. */
  const fraction = (): number => ((next() >>> 5) * 2 ** 26 + (next() >>> 6)) / 2 ** 53;
  return {
    bytes: (length) => {
      const bytes = new Uint8Array(length);
      for (let index = 0; index < length; index += 1) bytes[index] = next() >>> 24;
      return bytes;
    },
    below: (bound) => floor(fraction() * bound),
  };
}

/** Gives whole numbers below 2^32. */
function xoshiro128(seed: number): () => number {
  const fill = splitmix32(seed);
  let a = fill();
  let b = fill();
  let c = fill();
  let d = fill();
  return () => {
    const result = imul(rotateLeft(imul(b, 5), 7), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotateLeft(d, 11);
    return result;
  };
}

/** Spreads one number over a state; never gives four zeroes in a row. */
function splitmix32(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return (mixed ^ (mixed >>> 15)) | 0;
  };
}

function rotateLeft(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}
