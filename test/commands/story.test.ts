// The way of one group of volumes through all commands, in the order in which people use them.
import { closeSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import type {
  CompareAnswer,
  CreateAnswer,
  ImportAnswer,
  MigrateAnswer,
  MigrationStatusAnswer,
  PairAnswer,
  PrecheckAnswer,
  ReplicateAnswer,
  StatusAnswer,
  VerifyAnswer,
  WaitAnswer,
  WriteAnswer,
} from '../../src/node/answers.ts';
import { rcopy, rcopyJson, scratch } from './harness.ts';

const folder = scratch();
const at = (name: string): string => join(folder, name);
const [tokyo, osaka, kyoto] = [at('tokyo'), at('osaka'), at('kyoto')];
const VOLUMES = ['--volume', 'db=8M', '--volume', 'log=1M', '--journal-size', '128M'];

describe('one set', () => {
  test('is made', async () => {
    const answer = await rcopyJson<CreateAnswer>('create', tokyo, ...VOLUMES);
    expect(answer).toEqual({
      changed: true,
      set: { id: expect.stringMatching(/^[0-9a-f]{32}$/), name: 'tokyo', path: tokyo },
      volumes: [
        { name: 'db', size: 8 * 1024 ** 2 },
        { name: 'log', size: 1024 ** 2 },
      ],
      journal: { capacityBytes: 128 * 1024 ** 2, whenFull: 'slow' },
    });
  });

  test('is not made twice, and stays what it is', async () => {
    expect(await rcopyJson('create', tokyo, ...VOLUMES, '--if-missing')).toMatchObject({
      changed: false,
    });
    expect(await rcopy('create', tokyo, ...VOLUMES)).toMatchObject({ code: 5, stdout: '' });
    expect(await rcopy('create', tokyo, '--volume', 'db=1M', '--if-missing')).toMatchObject({
      code: 5,
    });
  });

  test('takes writes, numbers them, and gives them back', async () => {
    const first = await rcopyJson<WriteAnswer>(
      'write',
      tokyo,
      '--volume',
      'db',
      '--offset',
      '0',
      '--data',
      'hello',
    );
    expect(first).toEqual({
      volume: 'db',
      offset: 0,
      length: 5,
      firstSequence: 1,
      lastSequence: 1,
    });
    writeFileSync(at('block'), Buffer.alloc(70_000, 'block'));
    const second = await rcopyJson<WriteAnswer>(
      'write',
      tokyo,
      '--volume',
      'log',
      '--offset',
      '4K',
      '--file',
      at('block'),
      '--no-sync',
    );
    expect(second).toMatchObject({ offset: 4096, length: 70_000, firstSequence: 2 });
    const read = ['read', tokyo, '--volume', 'db', '--offset', '0', '--length', '5'];
    expect(await rcopy(...read)).toEqual({ code: 0, stdout: 'hello', stderr: '' });
    const output = at('part');
    expect(
      await rcopyJson(
        'read',
        tokyo,
        '--volume',
        'log',
        '--offset',
        '4K',
        '--length',
        '70000',
        '--output',
        output,
      ),
    ).toEqual({ offset: 4096, length: 70_000, output });
    expect(readFileSync(output).equals(readFileSync(at('block')))).toBe(true);
  });

  test('takes an image in, and gives it out', async () => {
    const image = Buffer.alloc(2 * 1024 ** 2, 'image');
    writeFileSync(at('old.img'), image);
    const answer = await rcopyJson<ImportAnswer>(
      'import',
      tokyo,
      '--volume',
      'db',
      '--file',
      at('old.img'),
    );
    expect(answer).toMatchObject({ volume: 'db', offset: 0, length: 8 * 1024 ** 2 });
    const out = at('new.img');
    expect(await rcopyJson('export', tokyo, '--volume', 'db', '--output', out)).toMatchObject({
      volume: 'db',
      length: 8 * 1024 ** 2,
      sequence: answer.lastSequence,
    });
    const exported = readFileSync(out);
    expect(exported.subarray(0, image.length).equals(image)).toBe(true);
    expect(exported.subarray(image.length).every((byte) => byte === 0)).toBe(true);
  });

  test('is healthy alone, and lies there as a raw image', async () => {
    const status = await rcopyJson<StatusAnswer>('status', tokyo);
    expect(status).toMatchObject({
      set: { name: 'tokyo', role: 'primary', state: 'simplex', epoch: 1, path: tokyo },
      pair: null,
      migration: null,
      hosts: [],
      health: { healthy: true },
    });
    const image = readFileSync(join(tokyo, 'volumes', 'db.img'));
    expect(image.subarray(0, 10).toString()).toBe('imageimage');
    expect(await rcopyJson('inspect', tokyo)).toMatchObject({ images: { exact: true } });
  });
});

describe('a pair', () => {
  test('is made with its copy', async () => {
    const answer = await rcopyJson<PairAnswer & { replicated: ReplicateAnswer }>(
      'pair',
      'create',
      tokyo,
      osaka,
      '--create',
      '--wait',
    );
    expect(answer).toMatchObject({
      changed: true,
      pair: { primary: tokyo, secondary: osaka, state: 'paired' },
      replicated: { copies: 1, state: 'paired' },
    });
  });

  test('is made once', async () => {
    expect(await rcopyJson('pair', 'create', tokyo, osaka)).toMatchObject({ changed: false });
    expect(await rcopyJson('pair', 'create', tokyo, osaka, '--create')).toMatchObject({
      changed: false,
    });
  });

  test('falls behind, and says what to do', async () => {
    await rcopyJson('write', tokyo, '--volume', 'db', '--offset', '8K', '--data', 'more');
    const status = await rcopy('status', tokyo, '--check');
    expect(status.code).toBe(5);
    expect(status.stdout).toContain(`next: rcopy replicate ${tokyo}`);
    expect(status.stderr).toBe('');
    const json = await rcopy('status', tokyo, '--check', '--json');
    expect(json.code).toBe(5);
    expect(JSON.parse(json.stdout)).toMatchObject({
      pair: { lag: { entries: 1 }, usable: true },
      health: { healthy: false },
    });
  });

  test('is brought up to date', async () => {
    const answer = await rcopyJson<ReplicateAnswer>('replicate', tokyo, '--timeout', '30s');
    expect(answer).toMatchObject({ sentRecords: 1, copiedBytes: 0, copies: 0, state: 'paired' });
    expect(answer.restoredSequence).toBe(answer.nextSequence - 1);
    expect(await rcopyJson('replicate', tokyo)).toMatchObject({ sentRecords: 0 });
    expect(await rcopy('status', tokyo, osaka, '--check')).toMatchObject({ code: 0 });
  });

  test('shows itself in one line for each set', async () => {
    const { stdout } = await rcopy('status', tokyo, osaka);
    const lines = stdout.trimEnd().split('\n');
    expect(lines).toHaveLength(2);
    expect(lines[0]).toMatch(/^● healthy {2}tokyo {2}primary, paired/);
    expect(lines[1]).toMatch(/^● healthy {2}osaka {2}secondary, paired/);
    const json = await rcopyJson<{ sets: StatusAnswer[] }>('status', tokyo, osaka);
    expect(json.sets.map(({ set }) => set.name)).toEqual(['tokyo', 'osaka']);
  });

  test('knows marks on both sides', async () => {
    const mark = await rcopyJson<{ sequence: number }>('mark', tokyo, 'nightly');
    expect(mark).toEqual({ name: 'nightly', sequence: mark.sequence });
    const words = ['--mark', 'nightly', '--timeout', '30s'];
    const waited = await rcopyJson<WaitAnswer>('wait', tokyo, ...words);
    expect(waited.sequence).toBe(mark.sequence);
    expect(waited.restoredSequence).toBeGreaterThanOrEqual(mark.sequence);
    expect(await rcopyJson('wait', osaka, ...words)).toMatchObject({ sequence: mark.sequence });
    expect(await rcopyJson('wait', tokyo, '--synced')).toMatchObject({ sequence: mark.sequence });
    expect(await rcopyJson('wait', tokyo, '--sequence', '1')).toMatchObject({ sequence: 1 });
  });

  test('is sound, and the same on both sides', async () => {
    expect(await rcopyJson<VerifyAnswer>('verify', tokyo)).toMatchObject({
      ok: true,
      findings: [],
    });
    expect(await rcopyJson<CompareAnswer>('verify', tokyo, '--against', osaka)).toMatchObject({
      equal: true,
      differences: [],
      bytesCompared: 9 * 1024 ** 2,
    });
  });
});

describe('a migration', () => {
  const next = async (set: string): Promise<number> =>
    (await rcopyJson<StatusAnswer>('status', set)).journal.nextSequence;

  test('is checked first', async () => {
    await rcopyJson('create', kyoto, ...VOLUMES);
    const answer = await rcopyJson<PrecheckAnswer>('migrate', tokyo, kyoto, '--dry-run');
    expect(answer.ready).toBe(true);
    expect(answer.checks.every(({ ok }) => ok)).toBe(true);
    expect(await rcopyJson('migrate', 'status', kyoto)).toEqual({ migration: null });
  });

  test('moves the primary, and goes on numbering at N', async () => {
    await rcopyJson('write', tokyo, '--volume', 'db', '--offset', '12K', '--data', 'unsent');
    const nextSequence = await next(tokyo);
    const answer = await rcopyJson<MigrateAnswer>('migrate', tokyo, kyoto);
    expect(answer).toEqual({
      changed: true,
      migrationId: expect.stringMatching(/^[0-9a-f]{32}$/),
      mode: 'drain',
      copy: 'post',
      epoch: 2,
      nextSequence,
      journalCursor: nextSequence - 1,
      switchPauseMs: expect.any(Number),
      copiedBytes: expect.any(Number),
      state: 'done',
    });
    const write = ['write', kyoto, '--volume', 'db', '--offset', '0', '--data', 'from kyoto'];
    expect(await rcopyJson(...write)).toMatchObject({ firstSequence: nextSequence });
  });

  test('is finished once', async () => {
    expect(await rcopyJson('migrate', tokyo, kyoto)).toMatchObject({ changed: false });
    expect(await rcopyJson('migrate', 'resume', kyoto)).toMatchObject({ changed: false });
    expect((await rcopy('migrate', 'abort', kyoto)).code).toBe(5);
    const status = await rcopyJson<MigrationStatusAnswer>('migrate', 'status', kyoto);
    expect(status.migration).toMatchObject({ state: 'done', side: 'target' });
  });

  test('leaves the old primary sealed, and the pair at work', async () => {
    const old = await rcopy('status', tokyo);
    expect(old.stdout).toMatch(/^◐ retired/);
    expect(old.stdout).toContain(`next: rcopy status ${kyoto}`);
    const write = ['write', tokyo, '--volume', 'db', '--offset', '0', '--data', 'x'];
    expect(await rcopy(...write, '--json')).toMatchObject({ code: 5 });
    await rcopyJson('replicate', kyoto);
    expect(await rcopyJson('verify', kyoto, '--against', osaka)).toMatchObject({ equal: true });
    const read = ['read', osaka, '--volume', 'db', '--offset', '0', '--length', '10'];
    expect((await rcopy(...read)).stdout).toBe('from kyoto');
  });

  test('can be looked into', async () => {
    const journal = await rcopy('inspect', 'journal', kyoto);
    expect(journal.stdout).toMatch(/^epoch +number +kind/);
    expect(journal.stdout).toContain('write');
    const json = await rcopyJson<{ records: { kind: string }[] }>(
      'inspect',
      'journal',
      kyoto,
      '--limit',
      '1',
    );
    expect(json.records).toHaveLength(1);
    const human = await rcopy('inspect', kyoto);
    expect(human.stdout).toContain('  name      kyoto');
  });
});

describe('the end', () => {
  test('a pair is ended once, and its secondary is a primary of its own', async () => {
    expect(await rcopyJson('pair', 'delete', kyoto)).toMatchObject({ changed: true });
    expect(await rcopyJson('pair', 'delete', kyoto)).toEqual({ changed: false, pair: null });
    const write = ['write', osaka, '--volume', 'log', '--offset', '0', '--data', 'own'];
    expect(await rcopy(...write)).toMatchObject({ code: 0, stderr: '' });
  });
});

describe('damage', () => {
  /** Changes one byte of an image behind the back of its set. */
  const change = (set: string, volume: string, offset: number): void => {
    const image = openSync(join(set, 'volumes', `${volume}.img`), 'r+');
    writeSync(image, Buffer.from([1]), 0, 1, offset);
    closeSync(image);
  };

  test('makes two sets differ, and verify says where', async () => {
    await rcopyJson('create', at('north'), '--volume', 'db=4M', '--journal-size', '128M');
    await rcopyJson('pair', 'create', at('north'), at('south'), '--create', '--wait');
    change(at('south'), 'db', 3 * 1024 ** 2 + 5);
    const { code, stdout, stderr } = await rcopy('verify', at('north'), '--against', at('south'));
    expect({ code, stderr }).toEqual({
      code: 6,
      stderr: `error: verify: ${at('north')} and ${at('south')} differ in 1 range\n`,
    });
    expect(stdout).toMatch(/differ .*\n {2}volume .*\n {2}db +\d+ +\d+\n$/);
    const json = await rcopy('verify', at('north'), '--against', at('south'), '--json');
    expect(JSON.parse(json.stdout)).toMatchObject({
      equal: false,
      differences: [{ volume: 'db' }],
      error: { code: 'E_DIFFERENT' },
    });
    expect(json.stderr).toBe('');
  });

  test('of an image is found against the journal', async () => {
    await rcopyJson('write', at('north'), '--offset', '4K', '--data', 'known');
    change(at('north'), 'db', 4097);
    const { code, stdout, stderr } = await rcopy('verify', at('north'));
    expect({ code, stderr }).toEqual({
      code: 6,
      stderr: `error: verify: ${at('north')} is damaged: 1 finding\n`,
    });
    expect(stdout).toMatch(/is damaged .*\n {2}file .*\n .*db\.img +4096 {2}.*\n$/);
    const json = await rcopy('verify', at('north'), '--json');
    expect(JSON.parse(json.stdout)).toMatchObject({
      ok: false,
      findings: [{ offset: 4096 }],
      error: { code: 'E_DAMAGED' },
    });
  });
});
