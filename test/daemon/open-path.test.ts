/** The path controller as a library: a program that is the host itself, and keeps its disk. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { openPath } from '../../src/daemon/open-path.ts';
import { readDevice, submitAndWait } from '../../src/device/device.ts';
import { Station } from '../support/station.ts';

let scratch = '';

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'rcopy-library-'));
});

afterEach(() => {
  rmSync(scratch, { recursive: true, force: true });
});

test('[R2] a program writes through it, while the set behind it is restarted', async () => {
  const tokyo = new Station(join(scratch, 'tokyo'));
  await tokyo.create(1024 * 1024);
  await tokyo.start();
  const folder = join(scratch, 'gate');
  const host = await openPath({ folder });
  try {
    expect(() => host.connect('db')).toThrow(/there is no export db/);
    const request = { export: 'db', set: tokyo.url, volume: undefined, replace: false };
    expect(await host.paths.add(request)).toMatchObject({ changed: true });
    expect(await host.paths.add(request)).toMatchObject({ changed: false });
    const disk = host.connect('db');
    const data = [Buffer.from('kept')];
    await submitAndWait(disk, { kind: 'write', offset: 512, length: 4, data, fua: false });
    await tokyo.kill();
    const reading = readDevice(disk, 512, 4);
    await tokyo.start();
    expect(String(await reading)).toBe('kept');
    await submitAndWait(disk, { kind: 'flush' });
    await expect(openPath({ folder })).rejects.toMatchObject({ code: 'E_HELD' });
  } finally {
    await host.close();
    await tokyo.stop();
  }
});
