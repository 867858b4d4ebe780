/** The commands that look into files, on kept samples: lines, limits, JSON, a damaged set. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { DUMPS, SAMPLES } from '../support/sample-sets.ts';
import { rcopy, rcopyJson } from './harness.ts';

const segment = join(SAMPLES, DUMPS.get('tokyo-segment.txt') ?? '');
const golden = readFileSync(join(SAMPLES, 'dumps', 'tokyo-segment.txt'), 'utf8');

test('prints the dump', async () => {
  expect(await rcopy('inspect', 'file', segment)).toEqual({ code: 0, stdout: golden, stderr: '' });
});

test('prints a part of it, and how to go on', async () => {
  const words = ['inspect', 'file', segment, '--from', '0x60', '--limit', '2'];
  const { stdout } = await rcopy(...words);
  const lines = golden.split('\n').slice(12, 14);
  const more = '… there is more: --from 0x65, or a larger --limit';
  expect(stdout).toBe([...lines, more, ''].join('\n'));
  expect(await rcopyJson(...words)).toMatchObject({
    file: segment,
    kind: 'segment',
    fields: [{ offset: 96, field: 'magic', value: 'RCRD' }, { offset: 100 }],
    next: 0x65,
  });
});

test('a set whose set.json is damaged is shown as far as it can be, and fails', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rcopy-inspect-'));
  try {
    cpSync(join(SAMPLES, 'tokyo'), folder, { recursive: true });
    const text = readFileSync(join(folder, 'set.json'), 'utf8');
    writeFileSync(join(folder, 'set.json'), text.replace('"tokyo"', '"tokio"'));
    const { code, stdout, stderr } = await rcopy('inspect', folder);
    expect(code).toBe(6);
    expect(stdout).toMatch(/cursors\n/);
    expect(stderr).toMatch(/^error: inspect: .*set.json at offset 0: its checksum does not match/);
    const json = JSON.parse((await rcopy('inspect', folder, '--json')).stdout) as object;
    expect(json).toMatchObject({
      set: null,
      cursors: { clean: true },
      images: { exact: false },
      error: { code: 'E_DAMAGED' },
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a bad offset is refused', async () => {
  expect(await rcopy('inspect', 'file', segment, '--from', '0xyz')).toMatchObject({ code: 2 });
});
