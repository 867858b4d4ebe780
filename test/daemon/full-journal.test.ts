/** A journal that becomes full because the secondary's daemon is gone: what each policy does. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { MIB } from '../../src/base/limits.ts';
import { readDevice, submitAndWait } from '../../src/device/device.ts';
import type { Device } from '../../src/device/device.ts';
import { Station } from '../support/station.ts';

/** Less than the journal, so that what is written to it again and again fills that. */
const VOLUME_BYTES = 16 * MIB;
const JOURNAL_BYTES = 128 * MIB;
const WRITE_BYTES = 1 * MIB;
/** More than it holds, whatever was trimmed before. */
const OVERFULL_BYTES = JOURNAL_BYTES + 48 * MIB;

let scratch = '';
let a: Station;
let c: Station;

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'rcopy-full-'));
});

afterEach(async () => {
  await Promise.all([a.kill(), c.kill()]);
  rmSync(scratch, { recursive: true, force: true });
});

/** A pair in step, then C goes. */
async function leftAlone(policy: 'slow' | 'map', ...words: readonly string[]): Promise<Device> {
  a = new Station(join(scratch, 'a'), ...words);
  c = new Station(join(scratch, 'c'));
  await a.create(VOLUME_BYTES, policy);
  await c.create(VOLUME_BYTES);
  await Promise.all([a.start(), c.start()]);
  await a.set.createPair({ secondary: c.url });
  await a.set.wait({ until: { kind: 'synced' }, timeoutMs: 30_000 });
  await c.kill();
  return a.connect();
}

/** Writes to the first half of the volume, until the journal could not hold it, or an error. */
async function overfill(host: Device, bytes = OVERFULL_BYTES): Promise<number> {
  for (let written = 0; written < bytes; written += WRITE_BYTES) {
    const offset = written % (VOLUME_BYTES / 2);
    const data = [Buffer.alloc(WRITE_BYTES, 1 + ((written / WRITE_BYTES) % 250))];
    const write = { kind: 'write', offset, data, length: WRITE_BYTES, fua: false } as const;
    const ended = await submitAndWait(host, write).catch((error: Error) => error);
    if (ended instanceof Error) return written;
  }
  return bytes;
}

describe('[R9] a full journal', () => {
  test('map: hosts go on; back, only the changed blocks are copied, by itself', async () => {
    const host = await leftAlone('map');
    expect(await overfill(host)).toBe(OVERFULL_BYTES);
    const { pair } = await a.set.status();
    expect(pair).toMatchObject({ state: 'suspended', link: 'down', usable: true });
    expect(pair?.reason).toContain('full');
    await c.start();
    await a.set.wait({ until: { kind: 'synced' }, timeoutMs: 60_000 });
    const after = await a.set.status();
    expect(after.pair).toMatchObject({ state: 'paired', usable: true });
    // The first half was written over and over; nothing of the second half goes over.
    const copied = (after.pair?.sent?.copiedBytes ?? 0) - (pair?.sent?.copiedBytes ?? 0);
    expect(copied).toBeGreaterThan(0);
    expect(copied).toBeLessThanOrEqual(VOLUME_BYTES / 2);
    expect(after.pair?.sent?.copies).toBe(pair?.sent?.copies);
    expect(await a.set.verifyAgainst(c.url)).toMatchObject({ equal: true });
  }, 120_000);

  test('slow: hosts wait, are told after the stated time, and go on when C is back', async () => {
    const host = await leftAlone('slow', '--room-wait', '1s');
    const written = await overfill(host);
    expect(written).toBeGreaterThan(JOURNAL_BYTES / 4);
    expect(written).toBeLessThan(JOURNAL_BYTES);
    const full = await submitAndWait(host, {
      kind: 'write',
      offset: 0,
      data: [Buffer.alloc(WRITE_BYTES, 9)],
      length: WRITE_BYTES,
      fua: false,
    }).catch((error: Error) => error);
    expect(full).toMatchObject({ code: 'E_NO_SPACE' });
    // Reads and flushes go on, and what was answered is there.
    await submitAndWait(host, { kind: 'flush' });
    const last = written - WRITE_BYTES;
    const read = await readDevice(host, last % (VOLUME_BYTES / 2), WRITE_BYTES);
    expect(read.equals(Buffer.alloc(WRITE_BYTES, 1 + ((last / WRITE_BYTES) % 250)))).toBe(true);
    await c.start();
    await a.set.wait({ until: { kind: 'synced' }, timeoutMs: 60_000 });
    // More than was free when it was full.
    expect(await overfill(host, JOURNAL_BYTES / 2)).toBe(JOURNAL_BYTES / 2);
    await a.set.wait({ until: { kind: 'synced' }, timeoutMs: 60_000 });
    expect((await a.set.status()).pair?.sent).toMatchObject({ copies: 1 });
    expect(await a.set.verifyAgainst(c.url)).toMatchObject({ equal: true });
  }, 120_000);
});
