/** The daemon's part of status: who serves the set, whom, and which limits are near. */
import { expect, test } from '@jest/globals';
import { daemonRows } from '../../src/cli/daemon-rows.ts';
import type { HostStatus, StatusAnswer } from '../../src/node/answers.ts';

const NOW = Date.parse('2026-01-02T03:04:05.000Z');

const host = (address: string): HostStatus => ({
  address,
  export: 'db',
  readBytes: 1024,
  writtenBytes: 3 * 1024 * 1024,
  attached: false,
});

function rows(parts: Partial<StatusAnswer>): string[] {
  const served: Partial<StatusAnswer> = {
    daemon: {
      pid: 7,
      startedAt: '2026-01-02T03:04:00.000Z',
      longestStallMs: 12.5,
      residentBytes: 64 * 1024 * 1024,
    },
    hosts: [],
    limits: [],
    ...parts,
  };
  return daemonRows(served as StatusAnswer, NOW).map(([name, text]) => `${name}: ${text}`);
}

test('a set that no daemon serves has none of it', () => {
  expect(rows({ daemon: null, hosts: [host('x')] })).toEqual([]);
});

test('the process and its hosts', () => {
  expect(rows({ hosts: [host('127.0.0.1:5'), host('a local process')] })).toEqual([
    'daemon: pid 7, started 5 s ago, memory 64 MiB, longest stall 13 ms',
    'hosts: 127.0.0.1:5 at db: read 1 KiB, wrote 3 MiB',
    ': a local process at db: read 1 KiB, wrote 3 MiB',
  ]);
});

test('many hosts are counted', () => {
  const hosts = Array.from({ length: 20 }, (_, index) => host(`host-${index}`));
  const shown = rows({ hosts });
  expect(shown).toHaveLength(1 + 8 + 1);
  expect(shown.at(-1)).toBe(': and 12 more');
});

test('[R9] a limit that is half used is shown, with its unit', () => {
  const limits = [
    { name: 'journalBytes', used: 9, limit: 10 },
    { name: 'nbdConnections', used: 31, limit: 64 },
    { name: 'nbdConnections', used: 32, limit: 64 },
    { name: 'overlayBytes', used: 60 * 1024 * 1024, limit: 64 * 1024 * 1024 },
  ];
  expect(rows({ limits }).slice(1)).toEqual([
    'limit: nbdConnections: 32 of 64 in use',
    'limit: overlayBytes: 60 MiB of 64 MiB in use',
  ]);
});
