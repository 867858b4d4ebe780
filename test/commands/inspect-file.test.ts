/** The command that dumps a file, on kept samples: its lines, its limits, its JSON. */
import { readFileSync } from 'node:fs';
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

test('a bad offset is refused', async () => {
  expect(await rcopy('inspect', 'file', segment, '--from', '0xyz')).toMatchObject({ code: 2 });
});
