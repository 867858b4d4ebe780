// The six ways to migrate, each as a story of commands on real folders.
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import type { MigrateAnswer, StatusAnswer } from '../../src/node/answers.ts';
import { MIB } from '../../src/base/limits.ts';
import { rcopy, rcopyJson, scratch } from './harness.ts';
import { Model } from './model.ts';

const folder = scratch();

interface Way {
  readonly mode: string;
  readonly copy: string;
  /** What is written before the secondary is brought up to date, unsent, and through the target. */
  readonly lengths: readonly [sent: number, unsent: number, through: number];
}

const WAYS: readonly Way[] = [
  { mode: 'drain', copy: 'post', lengths: [70_001, 1, 4096] },
  { mode: 'drain', copy: 'pre', lengths: [3 * MIB + 5, 511, 1] },
  { mode: 'handoff', copy: 'post', lengths: [1, 9 * MIB, 513] },
  { mode: 'handoff', copy: 'pre', lengths: [8192, 1_000_003, 70_000] },
  { mode: 'bitmap', copy: 'post', lengths: [4095, 4097, MIB + 1] },
  { mode: 'bitmap', copy: 'pre', lengths: [512, 8191, 12_288] },
];

/** A pair whose secondary lacks something. */
async function behind(name: string, [sent, unsent]: Way['lengths']) {
  const at = (set: string): string => join(folder, `${name}-${set}`);
  const sets = { tokyo: at('tokyo'), osaka: at('osaka'), kyoto: at('kyoto') };
  const largest = Math.max(sent, unsent);
  const model = new Model(folder, { db: 4 * MIB + Math.ceil(largest / MIB) * MIB, log: 65_536 });
  await rcopyJson('create', sets.tokyo, ...model.flags);
  await model.write(sets.tokyo, 'db', 4097, sent);
  await rcopyJson('pair', 'create', sets.tokyo, sets.kyoto, '--create', '--wait');
  await model.write(sets.tokyo, 'log', 1, 3);
  await rcopyJson('replicate', sets.tokyo);
  await model.write(sets.tokyo, 'db', 8190, unsent);
  await model.zero(sets.tokyo, 'db', 4099, 4101);
  return { sets, model };
}

describe.each(WAYS)('migrate --mode $mode --copy $copy', ({ mode, copy, lengths }) => {
  test('moves the primary; nothing is lost, nothing is copied to the secondary anew', async () => {
    const { sets, model } = await behind(`${mode}-${copy}`, lengths);
    const { tokyo, osaka, kyoto } = sets;
    const { journal, pair } = await rcopyJson<StatusAnswer>('status', tokyo);
    const how = ['--create', '--mode', mode, '--copy', copy];
    const answer = await rcopyJson<MigrateAnswer>('migrate', tokyo, osaka, ...how);
    expect(answer).toMatchObject({
      changed: true,
      mode,
      copy,
      epoch: 2,
      nextSequence: journal.nextSequence,
      journalCursor: pair?.journalCursor,
      state: 'done',
    });
    expect(answer.nextSequence).toBeGreaterThan(answer.journalCursor);
    expect(await rcopyJson('migrate', tokyo, osaka, ...how)).toMatchObject({ changed: false });
    await model.write(osaka, 'db', 4101, lengths[2]);
    await model.zero(osaka, 'log', 2, 4099);
    await rcopyJson('replicate', osaka);
    for (const set of [osaka, kyoto]) expect(await model.differs(set)).toBeUndefined();
    expect(await rcopyJson('verify', osaka, '--against', kyoto)).toMatchObject({ equal: true });
    expect(await rcopyJson('status', osaka)).toMatchObject({
      migration: { state: 'done', mode, copy, sourceNeeded: false, remainingEntries: 0 },
      health: { healthy: true },
    });
    expect(await rcopy('write', tokyo, '--volume', 'log', '--offset', '0', '--data', 'x')).toEqual(
      expect.objectContaining({ code: 5 }),
    );
  });
});

describe.each(['drain', 'handoff', 'bitmap'])('a migration by %s that has switched', (mode) => {
  test('goes back to its source while the target has written nothing', async () => {
    const { sets, model } = await behind(`back-${mode}`, [4096, 100, 1]);
    const { tokyo, osaka, kyoto } = sets;
    const how = ['--create', '--mode', mode];
    expect(await rcopyJson('migrate', tokyo, osaka, ...how, '--detach')).toMatchObject({
      state: 'copying',
    });
    expect(await rcopyJson('migrate', 'status', osaka)).toMatchObject({
      migration: { sourceNeeded: true, returning: false, remainingEntries: 2 },
    });
    const aborted = await rcopy('migrate', 'abort', osaka);
    expect(aborted).toMatchObject({
      code: 0,
      stdout: '✓ aborted: the primary is back where it was\n',
    });
    expect(await rcopyJson('migrate', 'abort', osaka)).toMatchObject({ changed: false });
    await model.write(tokyo, 'db', 3, 9);
    await rcopyJson('replicate', tokyo);
    for (const set of [tokyo, kyoto]) expect(await model.differs(set)).toBeUndefined();
    // Osaka was used, for a moment: it says so, and can be given up for the next try.
    const again = await rcopy('migrate', tokyo, osaka, ...how);
    expect(again.code).toBe(5);
    expect(again.stderr).toContain('give --overwrite');
    const moved = await rcopyJson('migrate', tokyo, osaka, '--overwrite', '--mode', mode);
    expect(moved).toMatchObject({ state: 'done', epoch: 4 });
    expect(await model.differs(osaka)).toBeUndefined();
  });

  test('says when the source may go, and goes on without it', async () => {
    const { sets, model } = await behind(`lost-${mode}`, [4096, 100, 1]);
    const { tokyo, osaka, kyoto } = sets;
    await rcopyJson('migrate', tokyo, osaka, '--create', '--mode', mode, '--detach');
    await model.write(osaka, 'db', 8000, 600);
    renameSync(kyoto, `${kyoto}-away`);
    expect(await rcopy('migrate', 'resume', osaka)).toMatchObject({ code: 7 });
    // Every block is here; what the secondary lacks is as well, but for records of mode drain.
    const sourceNeeded = mode === 'drain';
    expect(await rcopyJson('status', osaka)).toMatchObject({
      migration: { state: 'copying', remainingBytes: 0, remainingEntries: 2, sourceNeeded },
    });
    const { stdout } = await rcopy('migrate', 'status', osaka);
    const said = sourceNeeded ? 'is still needed' : 'may be deleted';
    expect(stdout).toContain(`  source     lost-${mode}-tokyo ${said}\n`);
    renameSync(`${kyoto}-away`, kyoto);
    renameSync(tokyo, `${tokyo}-gone`);
    expect(await rcopyJson('migrate', 'resume', osaka, '--source-lost')).toMatchObject({
      changed: true,
      state: 'done',
    });
    expect(await rcopyJson('migrate', 'resume', osaka, '--source-lost')).toMatchObject({
      changed: false,
    });
    for (const set of [osaka, kyoto]) expect(await model.differs(set)).toBeUndefined();
  });
});

test('a source that is lost too early is not given up; takeover is the way on', async () => {
  const { sets } = await behind('early', [4096, 100, 1]);
  const { tokyo, osaka, kyoto } = sets;
  await rcopyJson('migrate', tokyo, osaka, '--create', '--detach');
  renameSync(tokyo, `${tokyo}-gone`);
  expect(await rcopy('migrate', 'resume', osaka)).toMatchObject({ code: 7, stdout: '' });
  const refused = await rcopy('migrate', 'resume', osaka, '--source-lost');
  expect(refused).toMatchObject({ code: 5, stdout: '' });
  expect(refused.stderr).toContain(`\`rcopy takeover ${kyoto} --force\``);
});
