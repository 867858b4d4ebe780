// Errors on the wire: only the eight that the protocol knows, and names for logs.
import { describe, expect, test } from '@jest/globals';
import { RcopyError } from '../../src/base/errors.ts';
import type { ErrorCode } from '../../src/base/errors.ts';
import { errnoOf, errorOf } from '../../src/nbd/errno.ts';
import { COMMANDS, ERRNOS, OPTIONS, nameIn } from '../../src/nbd/protocol.ts';

const { EPERM, EIO, EINVAL, ENOSPC, ESHUTDOWN } = ERRNOS;

/** Every code, with its errors for a write and for a read. */
const TABLE: Readonly<Record<ErrorCode, readonly [number, number]>> = {
  E_USAGE: [EIO, EIO],
  E_RANGE: [ENOSPC, EINVAL],
  E_NOT_FOUND: [EIO, EIO],
  E_HELD: [EIO, EIO],
  E_SEALED: [ESHUTDOWN, ESHUTDOWN],
  E_ROLE: [EPERM, EPERM],
  E_NOT_PAIRED: [EIO, EIO],
  E_PAIRED: [EIO, EIO],
  E_NOT_EMPTY: [EIO, EIO],
  E_TOO_SMALL: [EIO, EIO],
  E_STATE: [EIO, EIO],
  E_COPIED: [EIO, EIO],
  E_SPLIT_BRAIN: [EIO, EIO],
  E_JOURNAL_FULL: [ENOSPC, ENOSPC],
  E_NO_SPACE: [ENOSPC, ENOSPC],
  E_DAMAGED: [EIO, EIO],
  E_VERSION: [EIO, EIO],
  E_DIFFERENT: [EIO, EIO],
  E_UNREACHABLE: [EIO, EIO],
  E_TIMEOUT: [EIO, EIO],
  E_PROTOCOL: [EIO, EIO],
  E_STOPPED: [ESHUTDOWN, ESHUTDOWN],
  E_IO: [EIO, EIO],
  E_INTERNAL: [EIO, EIO],
};

describe('errors', () => {
  test('of a device are told by their code', () => {
    for (const code of Object.keys(TABLE) as ErrorCode[]) {
      const error = new RcopyError(code, 'so it is');
      const told = [errnoOf(error, 'write'), errnoOf(error, 'read')];
      expect([code, ...told]).toEqual([code, ...TABLE[code]]);
    }
  });

  test('that are not ours are I/O errors', () => {
    for (const error of [new Error('odd'), Object.assign(new Error(''), { code: 'E_ROLE' }), 7]) {
      expect(errnoOf(error, 'write')).toBe(EIO);
    }
  });

  test('of a server come back as ours, with what was said', () => {
    expect(errorOf(ENOSPC, 'WRITE at offset 7', 'tokyo', 'full up')).toMatchObject({
      code: 'E_NO_SPACE',
      message: 'WRITE at offset 7: tokyo says ENOSPC: full up',
    });
    expect(errorOf(4711, 'FLUSH', 'tokyo', '')).toMatchObject({
      code: 'E_IO',
      message: 'FLUSH: tokyo says unknown (4711)',
    });
  });
});

test('numbers have names', () => {
  expect(nameIn(COMMANDS, 6)).toBe('WRITE_ZEROES');
  expect(nameIn(OPTIONS, 4)).toBe('unknown (4)');
});
