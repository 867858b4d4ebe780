/** Races and dead ends that a review found: each of these failed once. */
import { describe, expect, test } from '@jest/globals';
import { difference, pattern, peekAll, readAll, write } from '../support/image-sets.ts';
import { A, B, C, MIGRATE, REPLICATE, Sites, performOn } from '../support/sites.ts';
import { encodeJson } from '../../src/link/messages.ts';
import { FrameChannel } from '../../src/link/channel.ts';
import { submitAndWait } from '../../src/device/device.ts';
import { announce, buryMigration, sealAndHandOver } from '../../src/node/migration-source.ts';
import { OwedAccount } from '../../src/node/owed-maps.ts';

describe('a stray sender', () => {
  test('[R1] that greets a primary changes nothing of what its hosts read', async () => {
    const sites = new Sites({ syncMs: 5 });
    const a = await sites.create(A);
    await sites.write(A, write(0, 0, 4096, 1));
    await sites.flush(A);
    const channel = new FrameChannel(await sites.dial('/stranger', A));
    channel.post('hello', [encodeJson(strayHello())]);
    await sites.clock.pass(1);
    await sites.write(A, write(0, 0, 4096, 2));
    const flushed = sites.flush(A);
    await sites.clock.pass(1);
    await sites.write(A, write(0, 0, 4096, 3));
    await flushed;
    await sites.clock.pass(6);
    expect(difference(await sites.contents(A), sites.model.now)).toBeUndefined();
    await sites.close(A);
    await sites.open(A);
    expect(await sites.differs(A)).toBeUndefined();
    expect(a.set.failure).toBeUndefined();
  });

  test('[R1] a secondary that became a group of its own keeps what its hosts write', async () => {
    const sites = new Sites({ syncMs: 5 });
    const { a, c } = await sites.paired();
    await sites.write(A, write(0, 0, 4096, 1));
    await sites.replicate(A);
    await sites.drive(a.deletePair());
    await sites.drive(performOn(c.set, write(0, 0, 4096, 7)));
    const [device] = c.set.volumes;
    const flushed = device && submitAndWait(device, { kind: 'flush' });
    await sites.clock.pass(1);
    await sites.drive(performOn(c.set, write(0, 0, 4096, 8)));
    if (flushed) await sites.drive(flushed);
    await sites.clock.pass(6);
    const [volume] = await sites.contents(C);
    expect(volume?.subarray(0, 4096).equals(pattern(8, 4096))).toBe(true);
  });
});

const HOST_WRITE = { kind: 'write', offset: 0, fua: false } as const;

/** An answer that is not looked at. */
const ok = () => undefined;

const strayHello = () => ({
  purpose: 'replicate',
  setId: '77'.repeat(16),
  groupId: '78'.repeat(16),
  name: 'stranger',
  address: '/stranger',
  bootId: '',
  link: 0,
  pairId: null,
  carrierSeal: null,
  run: { epoch: 1, id: '79'.repeat(16), writer: '77'.repeat(16), first: 1, next: 1, sealed: false },
  parentSeal: null,
});

describe('who waits', () => {
  test('[R2] for a secondary whose disk fails is told', async () => {
    const sites = new Sites();
    const { a } = await sites.paired();
    await sites.write(A, write(0, 0, 4096, 1));
    sites.machine(C).disk.hook = ({ label }) => (label === 'IMAGE:SYNC' ? 'fail' : undefined);
    const error = await sites.refusal(a.replicate({ timeoutMs: undefined, maxRate: undefined }));
    expect(error.code).toBe('E_IO');
  });

  test('for the first copy is not told before it is complete', async () => {
    const sites = new Sites();
    const a = await sites.create(A);
    await sites.write(A, write(0, 0, 30_000, 1), write(1, 0, 20_000, 2));
    const c = await sites.create(C);
    await sites.drive(a.createPair({ secondary: C }));
    await sites.drive(a.wait({ until: { kind: 'synced' }, timeoutMs: undefined }));
    expect(c.set.usable).toBe(true);
    expect(difference(peekAll(c.set), sites.model.now)).toBeUndefined();
  });

  test.each([55, 65, 75, 85, 95])(
    'two who replicate at once, %d ms apart, both come to their end',
    async (apartMs) => {
      const sites = new Sites({ syncMs: 10 });
      const { a } = await sites.paired();
      await sites.write(A, write(0, 0, 4096, 1));
      const first = a.replicate({ ...REPLICATE, timeoutMs: undefined });
      await sites.clock.pass(apartMs);
      const data = [pattern(2, 9000)];
      a.set.volumes[0]?.submit({ ...HOST_WRITE, data, length: 9000 }, ok);
      const second = a.replicate({ ...REPLICATE, timeoutMs: undefined });
      await sites.drive(Promise.all([first, second]));
      expect(a.set.secondary?.restored.sequence).toBe(a.set.newest);
    },
  );

  test('with a low --max-rate still ends at its timeout', async () => {
    const sites = new Sites();
    const { a } = await sites.paired();
    await sites.write(A, write(0, 0, 30_000, 1), write(0, 0, 30_000, 2));
    const started = sites.clock.monotonicMs();
    const error = await sites.refusal(a.replicate({ timeoutMs: 2000, maxRate: 100 }));
    expect(error.code).toBe('E_TIMEOUT');
    expect(sites.clock.monotonicMs() - started).toBeLessThan(3000);
  });
});

describe('a migration', () => {
  async function ready(options = {}) {
    const sites = new Sites(options);
    const nodes = await sites.paired();
    await sites.write(A, write(0, 0, 30_000, 1), write(1, 5000, 9000, 2));
    await sites.replicate(A);
    return { sites, ...nodes, b: await sites.create(B) };
  }

  test('[R4] an abort that comes while the seal is being synced is refused', async () => {
    const { sites, a, b } = await ready({ syncMs: 5 });
    const call = {
      id: '5a'.repeat(16) as never,
      mode: 'drain',
      copy: 'post',
      source: { setId: a.set.file.setId, name: 'tokyo', address: A },
      target: { setId: b.set.file.setId, name: 'osaka', address: B },
      secondary: { setId: a.set.file.setId, name: 'kyoto', address: C },
    } as const;
    await sites.drive(announce(a.set, call));
    const sealed = sealAndHandOver(a.set, call, () => new OwedAccount(a.set).bringUpToDate());
    await sites.clock.pass(1);
    expect(a.set.ownRun()?.seal).toBeDefined();
    const refused = await sites.refusal(buryMigration(a.set, call));
    expect(refused.code).toBe('E_SEALED');
    await sites.drive(sealed);
    expect(a.set.file.abortedMigrations).toEqual([]);
  });

  test('[R4] a late announcement of a migration that is being aborted leaves nothing', async () => {
    const { sites, a, b } = await ready({ syncMs: 5 });
    const call = {
      id: '5a'.repeat(16) as never,
      mode: 'drain',
      copy: 'post',
      source: { setId: a.set.file.setId, name: 'tokyo', address: A },
      target: { setId: b.set.file.setId, name: 'osaka', address: B },
      secondary: { setId: a.set.file.setId, name: 'kyoto', address: C },
    } as const;
    const buried = buryMigration(a.set, call);
    const refused = await sites.refusal(announce(a.set, call));
    await sites.drive(buried);
    expect(refused.code).toBe('E_STATE');
    expect(a.set.file.migration).toBeNull();
  });

  test('can be aborted at its source when the target is gone', async () => {
    const { sites, a, b } = await ready();
    const started = b.migrate(MIGRATE);
    started.catch(() => undefined);
    await sites.clock.run(() => a.set.file.migration !== null);
    sites.cutLinks(B);
    await sites.refusal(started);
    expect(a.set.file.migration?.state).toBe('prepared');
    await sites.crash(B);
    sites.away.add(B);
    const answer = await sites.drive(a.abortMigration());
    expect(answer.state).toBe('aborted');
    expect(a.set.file.migration).toBeNull();
    await sites.write(A, write(0, 0, 4096, 9));
    // The target comes back, and finds out.
    sites.away.delete(B);
    const again = await sites.open(B);
    expect((await sites.refusal(again.resumeMigration({ maxRate: undefined }))).code).toBe(
      'E_STATE',
    );
    await sites.drive(again.abortMigration());
    await sites.migrate();
    expect(await sites.differs(B)).toBeUndefined();
  });

  test('two at once to the same target: one is refused, the other one goes its way', async () => {
    const { sites, b, a } = await ready();
    const both = [b.migrate(MIGRATE), b.migrate(MIGRATE)].map((each) =>
      each.then(
        () => 'done',
        (error: { code?: string }) => error.code,
      ),
    );
    const [one, other] = await sites.drive(Promise.all(both));
    expect(new Set([one, other])).toEqual(new Set(['E_STATE', 'done']));
    expect(a.set.file.role).toBe('retired');
  });

  test('[R5] another set at the source’s address gives no blocks', async () => {
    const { sites, b } = await ready();
    await sites.migrate(true);
    const absent = b.set.contents.absentBytes;
    expect(absent).toBeGreaterThan(0);
    // The source's folder is put aside, and somebody makes a new set of that name.
    await sites.close(A);
    sites.machine(A).disk.rename(A, '/aside', 'TEST:RENAME');
    await sites.create(A);
    sites.away.add(C); // which could give them
    sites.cutLinks(C);
    await sites.clock.pass(1);
    const refused = await sites.refusal(b.resumeMigration({ maxRate: undefined }));
    expect(refused.code).toBe('E_UNREACHABLE');
    expect(b.set.contents.absentBytes).toBe(absent);
    sites.away.delete(C);
    await sites.close(A);
    sites.machine(A).disk.rename(A, '/stranger', 'TEST:RENAME');
    sites.machine(A).disk.rename('/aside', A, 'TEST:RENAME');
    await sites.open(A);
    await sites.clock.pass(1);
    await sites.drive(b.resumeMigration({ maxRate: undefined }));
    expect(await sites.differs(B)).toBeUndefined();
  });

  test('a source that was away at the end is told when it is next seen', async () => {
    const { sites, b } = await ready();
    sites.wrap = ([mine], address) => {
      if (address !== A) return;
      const send = mine.write.bind(mine);
      mine.write = (parts) => {
        if (!Buffer.concat(parts).toString('latin1').includes('migration.retire')) {
          return send(parts);
        }
        mine.destroy(new Error('the source has gone'));
        return true;
      };
    };
    await sites.migrate();
    const a = await sites.open(A);
    expect(a.set.file.role).toBe('primary');
    sites.wrap = undefined;
    await sites.drive(b.resumeMigration({ maxRate: undefined }));
    expect(a.set.file.role).toBe('retired');
    expect(await readAll(b.set)).toBeDefined();
  });
});

describe('two sets are compared', () => {
  test('[R10] while one of them moves on: no difference is claimed', async () => {
    const sites = new Sites();
    const { a } = await sites.paired();
    await sites.write(A, write(0, 0, 30_000, 1));
    await sites.replicate(A);
    // A host writes when the first range has been compared.
    sites.wrap = ([, accepted]) => {
      const send = accepted.write.bind(accepted);
      accepted.write = (parts) => {
        const data = [pattern(2, 20_000)];
        const isDigest = Buffer.concat(parts).toString('latin1').includes('sha256');
        if (isDigest) a.set.volumes[1]?.submit({ ...HOST_WRITE, data, length: 20_000 }, ok);
        return send(parts);
      };
    };
    sites.cutLinks(A);
    await sites.clock.pass(1);
    expect((await sites.refusal(a.verifyAgainst(C))).code).toBe('E_STATE');
  });
});
