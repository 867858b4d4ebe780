/** Replies on their way to a client: every byte of each of them, in order. */
import { expect, test } from '@jest/globals';
import { Outbox } from '../../src/nbd/outbox.ts';

test('[R2] each write is answered with its own number, also where a slab of replies ends', () => {
  const written: Buffer[] = [];
  const outbox = new Outbox(
    {
      peer: 'a controller',
      listen: () => undefined,
      write: (parts) => {
        written.push(...parts.map((part) => Buffer.from(part)));
        return true;
      },
      pause: () => undefined,
      resume: () => undefined,
      end: () => undefined,
      destroy: () => undefined,
    },
    () => undefined,
  );
  const count = 3000;
  const places: number[] = [];
  let end = 0;
  for (let sequence = 1; sequence <= count; sequence += 1) {
    // Replies of another length between: numbers come to lie on every place of a slab.
    for (let others = 0; others < sequence ** 3 % 13; others += 1) {
      outbox.simple({ cookieHigh: 0, cookieLow: 0 }, 0);
      end += 16;
    }
    outbox.number({ cookieHigh: 0, cookieLow: sequence }, sequence * 2 ** 21);
    places.push(end + 20);
    end += 28;
  }
  outbox.flush();
  const bytes = Buffer.concat(written);
  const numbers = places.map((place) => Number(bytes.readBigUInt64BE(place)));
  expect(numbers).toEqual(places.map((_, index) => (index + 1) * 2 ** 21));
});
