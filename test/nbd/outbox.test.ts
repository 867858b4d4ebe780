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
  for (let sequence = 1; sequence <= count; sequence += 1) {
    // A reply of another length before it: numbers come to lie on every place of a slab.
    outbox.simple({ cookieHigh: 0, cookieLow: 0 }, 0);
    outbox.number({ cookieHigh: 0, cookieLow: sequence }, sequence * 2 ** 21);
  }
  outbox.flush();
  const bytes = Buffer.concat(written);
  const numbers = Array.from({ length: count }, (_, index) =>
    Number(bytes.readBigUInt64BE(index * 44 + 36)),
  );
  expect(numbers).toEqual(Array.from({ length: count }, (_, index) => (index + 1) * 2 ** 21));
});
