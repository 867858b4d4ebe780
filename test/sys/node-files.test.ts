// What only real files can show: holes, locks, large writes.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SCAN_BYTES_MAX, SCAN_PIECE_BYTES, scanExtent } from '../../src/sys/extent-scan.ts';
import { nodeFiles } from '../../src/sys/node-files.ts';

const LABEL = 'TEST:FILES';

/** Takes the lock on the file in its argument, says so, and holds it until it is killed. */
const LOCK_HOLDER = `
  const { openSync } = require('node:fs');
  const { tryLock } = require('fs-native-extensions');
  process.stdout.write(String(tryLock(openSync(process.argv[1], 'w+'))));
  setInterval(() => undefined, 1000);
`;

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rcopy-node-files-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

test('a lock goes with its process, even if that is killed', async () => {
  const path = join(folder, 'lock');
  const holder = spawn(process.execPath, ['-e', LOCK_HOLDER, path]);
  const answer: unknown[] = await once(holder.stdout, 'data');
  expect(answer.join('')).toBe('true');
  expect(nodeFiles.tryLock(path, LABEL)).toBeUndefined();
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  const lock = nodeFiles.tryLock(path, LABEL);
  expect(lock).toBeDefined();
  lock?.release();
});

test('zero frees blocks unless they are to stay allocated', () => {
  const path = join(folder, 'file');
  const handle = nodeFiles.open(path, 'create', LABEL);
  const blocks = (): number => statSync(path).blocks;
  handle.write([Buffer.alloc(1 << 20, 1)], 0, LABEL);
  const full = blocks();
  handle.zero(0, 1 << 20, true, LABEL);
  expect(blocks()).toBe(full);
  handle.zero(0, 1 << 20, false, LABEL);
  expect(blocks()).toBeLessThan(full);
  handle.close();
});

test('status looks through symbolic links, and finds nothing behind a broken one', () => {
  nodeFiles.makeFolder(join(folder, 'real'), LABEL);
  symlinkSync('real', join(folder, 'link'));
  symlinkSync('nowhere', join(folder, 'broken'));
  const status = nodeFiles.status(join(folder, 'link'), LABEL);
  expect(status).toEqual(nodeFiles.status(join(folder, 'real'), LABEL));
  expect(nodeFiles.status(join(folder, 'broken'), LABEL)).toBeUndefined();
  expect(nodeFiles.status('/dev/null', LABEL)?.kind).toBe('other');
});

describe('holes found by reading', () => {
  /** Reads as data where `hasData` says so, up to `size`. */
  function fileWith(hasData: (position: number) => boolean, size = Number.POSITIVE_INFINITY) {
    return (target: Uint8Array, position: number): number => {
      target.fill(0);
      if (hasData(position)) target[target.length - 1] = 1;
      return Math.max(0, Math.min(target.length, size - position));
    };
  }

  test('neighbouring pieces of one kind are joined', () => {
    const read = fileWith((position) => position < 3 * SCAN_PIECE_BYTES);
    expect(scanExtent(read, 0, 5 * SCAN_PIECE_BYTES)).toEqual({
      offset: 0,
      length: 3 * SCAN_PIECE_BYTES,
      data: true,
    });
    expect(scanExtent(read, 3 * SCAN_PIECE_BYTES, 5 * SCAN_PIECE_BYTES)).toEqual({
      offset: 3 * SCAN_PIECE_BYTES,
      length: 2 * SCAN_PIECE_BYTES,
      data: false,
    });
  });

  test('pieces keep to their borders, so that a later call sees the same ones', () => {
    const read = fileWith((position) => position >= SCAN_PIECE_BYTES);
    expect(scanExtent(read, 512, 2 * SCAN_PIECE_BYTES).length).toBe(SCAN_PIECE_BYTES - 512);
  });

  test('one call looks only so far', () => {
    expect(
      scanExtent(
        fileWith(() => false),
        0,
        2 ** 40,
      ).length,
    ).toBe(SCAN_BYTES_MAX);
  });

  test('beyond the end of the file all is hole', () => {
    const read = fileWith(() => true, 0);
    expect(scanExtent(read, 0, 100)).toEqual({ offset: 0, length: 100, data: false });
  });
});
