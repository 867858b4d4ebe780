// Pairs that are paused, go on, move and end, as commands on real folders.
import { cpSync, readdirSync, renameSync } from 'node:fs';
import { join, relative } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import type {
  CreateAnswer,
  PairAnswer,
  ReplicatedPairAnswer,
  StatusAnswer,
} from '../../src/node/answers.ts';
import { MIB } from '../../src/base/limits.ts';
import { rcopy, rcopyJson, scratch } from './harness.ts';
import { Model } from './model.ts';

const folder = scratch();

/** A pair in step: 8 MiB, 3 of them written. */
async function pairOf(name: string) {
  const tokyo = join(folder, `${name}-tokyo`);
  const kyoto = join(folder, `${name}-kyoto`);
  const model = new Model(folder, { db: 8 * MIB });
  await rcopyJson('create', tokyo, ...model.flags);
  await model.write(tokyo, 'db', 5, 3 * MIB);
  await rcopyJson('pair', 'create', tokyo, kyoto, '--create', '--wait');
  return { tokyo, kyoto, model };
}

describe('a split', () => {
  test('pauses; resync sends only what changed; each says when nothing changes', async () => {
    const { tokyo, kyoto, model } = await pairOf('split');
    expect(await rcopyJson<PairAnswer>('pair', 'split', tokyo)).toEqual({
      changed: true,
      pair: {
        id: expect.any(String),
        primary: tokyo,
        secondary: kyoto,
        state: 'split',
        ack: 'local',
      },
    });
    expect(await rcopyJson('pair', 'split', tokyo)).toMatchObject({ changed: false });
    expect(await rcopy('replicate', tokyo)).toMatchObject({ code: 5 }); // with nothing to send
    expect(await rcopyJson('status', tokyo)).toMatchObject({
      pair: { state: 'split', usable: true, lag: { entries: 0, bytes: 0, seconds: 0 } },
    });
    await model.write(tokyo, 'db', 4095, 3);
    await model.write(tokyo, 'db', 7 * MIB, 10_000);
    const { pair, set, health } = await rcopyJson<StatusAnswer>('status', tokyo);
    expect(set.state).toBe('split');
    // Blocks of 4 KiB: two and three.
    expect(pair).toMatchObject({ journalCursor: 4, lag: { entries: 2, bytes: 5 * 4096 } });
    expect(pair?.lag?.seconds).toBeGreaterThan(0);
    expect(health).toEqual({
      healthy: false,
      word: 'split',
      reason: 'an operator split it; the secondary lacks 2 numbers',
      next: `rcopy pair resync ${tokyo}`,
    });
    expect(await rcopyJson('status', kyoto)).toMatchObject({
      set: { state: 'split' },
      pair: { usable: true },
      health: { word: 'split', next: `rcopy pair resync ${tokyo}` },
    });

    for (const words of [['replicate'], ['wait', '--synced']]) {
      const [command = '', ...flags] = words;
      const refused = await rcopy(command, tokyo, ...flags);
      expect(refused).toMatchObject({ code: 5, stdout: '' });
      expect(refused.stderr).toContain(`\`rcopy pair resync ${tokyo}\``);
    }

    const resync = ['pair', 'resync', tokyo];
    expect((await rcopy(...resync)).stdout).toMatch(
      /goes on\n {2}next: rcopy replicate .*tokyo\n$/,
    );
    expect(await rcopyJson<PairAnswer>(...resync)).toMatchObject({
      changed: false,
      pair: { state: 'copying' },
    });
    const waited = await rcopyJson<ReplicatedPairAnswer>(...resync, '--wait');
    expect(waited).toMatchObject({ changed: false, pair: { state: 'paired' } });
    const { sentBytes = Infinity, copiedBytes = Infinity, copies } = waited.replicated ?? {};
    expect(copies).toBe(0);
    expect(sentBytes + copiedBytes).toBeLessThan(24 * 1024);
    expect(await model.differs(kyoto)).toBeUndefined();
    expect(await rcopy('status', tokyo, kyoto, '--check')).toMatchObject({ code: 0 });
  });

  test('of a secondary that is away lasts; it is found where it was moved to', async () => {
    const { tokyo, kyoto, model } = await pairOf('moved');
    const there = join(folder, 'new-place');
    renameSync(kyoto, there);
    expect(await rcopyJson('pair', 'split', tokyo)).toMatchObject({ changed: true });
    await model.write(tokyo, 'db', 6 * MIB, 1);
    const lost = await rcopy('pair', 'resync', tokyo, '--wait');
    expect(lost).toMatchObject({ code: 7, stdout: '' });
    expect(lost.stderr).toContain(kyoto);

    const elsewhere = await rcopy('pair', 'address', tokyo, kyoto);
    expect(elsewhere).toMatchObject({ code: 7, stdout: '' });
    const another = await rcopy('pair', 'address', tokyo, tokyo);
    expect(another).toMatchObject({ code: 6, stdout: '' });
    expect(another.stderr).toContain('is not moved-kyoto');
    // As people type it: from where they stand.
    const typed = relative(process.cwd(), there);
    expect(await rcopyJson('pair', 'address', tokyo, typed)).toMatchObject({
      changed: true,
      pair: { primary: tokyo, secondary: there },
    });
    expect(await rcopyJson('pair', 'address', tokyo, there)).toMatchObject({ changed: false });
    expect(await rcopyJson('replicate', tokyo)).toMatchObject({ state: 'paired', copies: 0 });
    expect(await model.differs(there)).toBeUndefined();

    renameSync(tokyo, `${tokyo}-2`);
    expect(await rcopyJson('pair', 'address', there, `${tokyo}-2`)).toMatchObject({
      changed: true,
      pair: { primary: `${tokyo}-2`, secondary: there },
    });
  });

  test('can be moved away from by map only', async () => {
    const { tokyo, kyoto, model } = await pairOf('apart');
    const osaka = join(folder, 'apart-osaka');
    await rcopyJson('pair', 'split', tokyo);
    await model.write(tokyo, 'db', 100, 100);
    const refused = await rcopy('migrate', tokyo, osaka, '--create');
    expect(refused).toMatchObject({ code: 5, stdout: '' });
    expect(refused.stderr).toContain('the pair is split: `rcopy pair resync` first');
    const how = ['--create', '--mode', 'bitmap', '--copy', 'pre'];
    await rcopyJson('migrate', tokyo, osaka, ...how, '--detach');
    for (const verb of ['split', 'resync', 'delete']) {
      const busy = await rcopy('pair', verb, osaka);
      expect(busy).toMatchObject({ code: 5, stdout: '' });
      expect(busy.stderr).toContain(`\`rcopy migrate resume ${osaka}\``);
    }
    expect(await rcopy('pair', 'split', tokyo)).toMatchObject({ code: 5 }); // it is sealed
    await rcopyJson('migrate', 'resume', osaka);
    for (const set of [osaka, kyoto]) expect(await model.differs(set)).toBeUndefined();
  });
});

describe('a journal that is full', () => {
  test('gives way to a map where that is its policy; the pair goes on by itself', async () => {
    const tokyo = join(folder, 'full-tokyo');
    const kyoto = join(folder, 'full-kyoto');
    const model = new Model(folder, { db: 40 * MIB });
    const made = await rcopyJson<CreateAnswer>(
      'create',
      tokyo,
      ...model.flags,
      '--journal-full',
      'map',
    );
    expect(made.journal.whenFull).toBe('map');
    await rcopyJson('pair', 'create', tokyo, kyoto, '--create', '--wait');
    expect(await rcopyJson('status', kyoto)).toMatchObject({ journal: { whenFull: 'map' } });
    for (let index = 0; index < 4; index += 1) {
      await model.write(tokyo, 'db', index * MIB, 32 * MIB);
    }
    const { pair, set, health } = await rcopyJson<StatusAnswer>('status', tokyo);
    expect(set.state).toBe('suspended');
    expect(pair).toMatchObject({
      state: 'suspended',
      usable: true,
      reason: 'the journal was full',
      lag: { entries: 4 * 32, bytes: 35 * MIB },
    });
    expect(health).toMatchObject({ word: 'suspended', next: `rcopy replicate ${tokyo}` });
    expect(readdirSync(join(tokyo, 'maps'))).toEqual(['db.dirty']);
    expect(await rcopyJson('replicate', tokyo)).toMatchObject({ state: 'paired', copies: 0 });
    expect(await model.differs(kyoto)).toBeUndefined();
  });
});

describe('an end', () => {
  test('is made at one side alone when the other is gone', async () => {
    const { tokyo, kyoto } = await pairOf('ended');
    renameSync(kyoto, `${kyoto}-gone`);
    const refused = await rcopy('pair', 'delete', tokyo);
    expect(refused).toMatchObject({ code: 7, stdout: '' });
    expect(refused.stderr).toContain(`\`rcopy pair delete ${tokyo} --local\``);
    const ended = await rcopy('pair', 'delete', tokyo, '--local');
    expect(ended.stdout).toBe(`✓ ${tokyo} has left its pair; the other end was not told\n`);
    expect(await rcopyJson('pair', 'delete', tokyo, '--local')).toEqual({
      changed: false,
      pair: null,
    });
    renameSync(`${kyoto}-gone`, kyoto);
    // What still calls itself its secondary is used again only when somebody gives it up.
    const used = await rcopy('pair', 'create', tokyo, kyoto);
    expect(used).toMatchObject({ code: 5, stdout: '' });
    expect(used.stderr).toContain('--overwrite');
    expect(await rcopyJson('pair', 'create', tokyo, kyoto, '--overwrite', '--wait')).toMatchObject({
      changed: true,
      pair: { state: 'paired' },
    });
  });

  test('at the secondary makes it a primary of its own', async () => {
    const { tokyo, kyoto } = await pairOf('own');
    expect(await rcopy('pair', 'delete', kyoto)).toMatchObject({ code: 5 });
    expect(await rcopyJson('pair', 'delete', kyoto, '--local')).toMatchObject({ changed: true });
    expect(await rcopy('write', kyoto, '--offset', '0', '--data', 'own')).toMatchObject({
      code: 0,
    });
    await rcopyJson('write', tokyo, '--offset', '0', '--data', 'more');
    expect(await rcopy('replicate', tokyo)).toMatchObject({ code: 5, stdout: '' });
  });

  test('is for the set itself, never for a copy of its folder', async () => {
    const { tokyo } = await pairOf('copied');
    cpSync(tokyo, `${tokyo}-copy`, { recursive: true });
    expect(await rcopy('pair', 'delete', `${tokyo}-copy`, '--local')).toMatchObject({ code: 5 });
  });
});
