// The secondary becomes the primary: planned, and by force when the primary is gone.
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import type { TakeoverAnswer } from '../../src/node/answers.ts';
import { MIB } from '../../src/base/limits.ts';
import { rcopy, rcopyJson, scratch } from './harness.ts';
import { Model } from './model.ts';

const folder = scratch();

/** A pair of which the secondary has numbers up to 2, the mark among them. */
async function pairOf(name: string) {
  const tokyo = join(folder, `${name}-tokyo`);
  const kyoto = join(folder, `${name}-kyoto`);
  const model = new Model(folder, { db: 4 * MIB });
  await rcopyJson('create', tokyo, ...model.flags);
  await rcopyJson('pair', 'create', tokyo, kyoto, '--create', '--wait');
  await model.write(tokyo, 'db', 7, 10_000);
  await rcopyJson('mark', tokyo, 'noon');
  await rcopyJson('replicate', tokyo);
  return { tokyo, kyoto, model };
}

describe('planned', () => {
  test('takes everything over, and seals the old primary, which can become the copy', async () => {
    const { tokyo, kyoto, model } = await pairOf('planned');
    await model.write(tokyo, 'db', 1, 1); // not sent yet
    const answer = await rcopyJson<TakeoverAnswer>('takeover', kyoto);
    expect(answer).toEqual({
      changed: true,
      forced: false,
      epoch: 2,
      sequence: 3,
      nextSequence: 4,
      from: { name: 'planned-tokyo', address: tokyo },
      lastMark: { name: 'noon', sequence: 2 },
    });
    expect(await model.differs(kyoto)).toBeUndefined();
    await model.write(kyoto, 'db', 50, 60);
    expect(await rcopyJson('promote', kyoto)).toEqual({
      ...answer,
      changed: false,
      nextSequence: 5,
    });
    const end = `rcopy pair delete ${kyoto} --local`;
    expect(await rcopyJson('status', kyoto)).toMatchObject({
      set: { role: 'primary', state: 'takeover' },
      pair: { state: 'takeover', usable: null, lag: null },
      health: { healthy: false, word: 'takeover', next: end },
    });
    const old = await rcopy('write', tokyo, '--offset', '0', '--data', 'x');
    expect(old).toMatchObject({ code: 5, stdout: '' });
    expect(old.stderr).toContain(`use ${kyoto} instead`);
    for (const words of [['replicate'], ['pair', 'split'], ['pair', 'resync']]) {
      const refused = await rcopy(...words, kyoto);
      expect(refused).toMatchObject({ code: 5, stdout: '' });
      expect(refused.stderr).toContain(`\`${end}\``);
    }
    const again = ['pair', 'create', kyoto, tokyo, '--overwrite', '--wait'];
    const refused = await rcopy(...again);
    expect(refused).toMatchObject({ code: 5 });
    expect(refused.stderr).toContain(`\`${end}\``);
    expect(await rcopyJson('pair', 'delete', kyoto, '--local')).toMatchObject({ changed: true });
    expect(await rcopyJson(...again)).toMatchObject({ pair: { state: 'paired' } });
    expect(await model.differs(tokyo)).toBeUndefined();
  });

  test('is refused while the pair is split, and says how to go on', async () => {
    const { tokyo, kyoto } = await pairOf('split');
    await rcopyJson('pair', 'split', tokyo);
    const refused = await rcopy('takeover', kyoto);
    expect(refused).toMatchObject({ code: 5, stdout: '' });
    expect(refused.stderr).toContain(`\`rcopy pair resync ${tokyo}\``);
    expect(await rcopyJson('status', tokyo)).toMatchObject({ set: { state: 'split' } });
  });

  test('is refused to a secondary that is not usable, by force too', async () => {
    const tokyo = join(folder, 'unusable-tokyo');
    const kyoto = join(folder, 'unusable-kyoto');
    await rcopyJson('create', tokyo, '--volume', 'db=1M', '--journal-size', '128M');
    await rcopyJson('pair', 'create', tokyo, kyoto, '--create');
    for (const flags of [[], ['--force']]) {
      const refused = await rcopy('takeover', kyoto, ...flags);
      expect(refused).toMatchObject({ code: 5, stdout: '' });
      expect(refused.stderr).toMatch(/not usable.*\n.*`rcopy replicate .*unusable-tokyo`/);
    }
  });
});

describe('forced', () => {
  test('goes on from what is here, says what may be lost, and lets the old one go', async () => {
    const { tokyo, kyoto, model } = await pairOf('forced');
    await rcopyJson('write', tokyo, '--offset', '0', '--data', 'lost');
    renameSync(tokyo, `${tokyo}-gone`);
    const refused = await rcopy('takeover', kyoto);
    expect(refused).toMatchObject({ code: 7, stdout: '' });
    expect(refused.stderr).toContain(`\`rcopy takeover ${kyoto} --force\``);
    const { code, stdout, stderr } = await rcopy('takeover', kyoto, '--force');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout.split('\n')).toEqual([
      `✓ ${kyoto} is the primary now (epoch 2)`,
      '  numbers  it has everything up to 2, and writes from 3 on',
      '  lost     what forced-tokyo took behind number 2, if it took anything',
      '  beware   forced-tokyo was not told: no host may use it, or a set that it moved to',
      '  mark     noon (number 2) is the last that is part of it',
      '',
      `  next: rcopy pair delete ${kyoto} --local`,
      `  then: rcopy pair create ${kyoto} SECONDARY, for a second copy`,
      '',
    ]);
    expect(await rcopyJson('takeover', kyoto, '--force')).toMatchObject({
      changed: false,
      forced: true,
      sequence: 2,
    });
    await model.write(kyoto, 'db', 1000, 9);
    expect(await model.differs(kyoto)).toBeUndefined();

    // The old primary comes back: two histories never mix, and it can be given up.
    renameSync(`${tokyo}-gone`, tokyo);
    expect(await rcopy('replicate', tokyo)).toMatchObject({ code: 5, stdout: '' });
    await rcopyJson('pair', 'delete', kyoto, '--local');
    expect(await rcopy('pair', 'create', kyoto, tokyo)).toMatchObject({ code: 5 });
    await rcopyJson('pair', 'create', kyoto, tokyo, '--overwrite', '--wait');
    expect(await model.differs(tokyo)).toBeUndefined();
  });

  test('by a sealed source, when the target of its migration is gone', async () => {
    const { tokyo, kyoto, model } = await pairOf('back');
    const osaka = join(folder, 'back-osaka');
    await rcopyJson('migrate', tokyo, osaka, '--create', '--detach');
    renameSync(osaka, `${osaka}-gone`);
    expect(await rcopy('takeover', tokyo)).toMatchObject({ code: 5, stdout: '' });
    expect(await rcopyJson('takeover', tokyo, '--force')).toMatchObject({
      changed: true,
      forced: true,
      sequence: 2,
      from: { name: 'back-osaka', address: osaka },
    });
    await model.write(tokyo, 'db', 0, 3);
    await rcopyJson('pair', 'delete', tokyo, '--local');
    await rcopyJson('pair', 'create', tokyo, kyoto, '--overwrite', '--wait');
    expect(await model.differs(kyoto)).toBeUndefined();
  });
});
