/** Pairs, waits, full journals, status and verify: what a user asks of nodes. */
import { describe, expect, test } from '@jest/globals';
import { submitAndWait } from '../../src/device/device.ts';
import type { StorageNode } from '../../src/node/storage-node.ts';
import { CURSOR_SLOT_BYTES, chooseCursorSlot } from '../../src/format/cursors.ts';
import { RcopyError } from '../../src/base/errors.ts';
import { KIB } from '../../src/base/limits.ts';
import { TINY_JOURNAL, difference, peekAll, write } from '../support/image-sets.ts';
import { A, B, C, MIGRATE, REPLICATE, Sites, performOn } from '../support/sites.ts';

const WAIT = { timeoutMs: 1000 } as const;

function cursorSlots(sites: Sites, path: string): [Uint8Array, Uint8Array] {
  const bytes = sites.machine(A).disk.readFile(path);
  return [bytes.subarray(0, CURSOR_SLOT_BYTES), bytes.subarray(CURSOR_SLOT_BYTES)];
}

describe('a pair', () => {
  test('is made once; made again it is the same, and nothing has changed', async () => {
    const sites = new Sites();
    const a = await sites.create(A);
    await sites.create(C);
    const first = await sites.drive(a.createPair({ secondary: C }));
    expect(first).toMatchObject({
      changed: true,
      pair: { primary: A, secondary: C, state: 'copying' },
    });
    await sites.replicate(A);
    const again = await sites.drive(a.createPair({ secondary: C }));
    expect(again).toMatchObject({ changed: false, pair: { id: first.pair?.id, state: 'paired' } });
    expect(a.replication.counts.copiesBegun).toBe(1);
  });

  test('whose making was cut in its midst is made by the next try', async () => {
    const sites = new Sites();
    const a = await sites.create(A);
    const c = await sites.create(C);
    const work = a.createPair({ secondary: C });
    work.catch(() => undefined);
    await sites.clock.run(() => c.set.file.role === 'secondary');
    await sites.crash(A, 'lose');
    const again = await sites.open(A);
    expect(again.set.file.pair).toBeNull();
    const made = await sites.drive(again.createPair({ secondary: C }));
    expect(made.changed).toBe(true);
    await sites.write(A, write(0, 0, 5000, 1));
    await sites.replicate(A);
    expect(await sites.differs(C)).toBeUndefined();
  });

  test('[R10] without a number to wait for, a wait still waits for the copy', async () => {
    const sites = new Sites();
    const a = await sites.create(A);
    await sites.create(C);
    await sites.drive(a.createPair({ secondary: C }));
    expect(a.set.newest).toBe(0);
    await sites.drive(a.wait({ until: { kind: 'synced' }, timeoutMs: undefined }));
    expect(a.status().pair).toMatchObject({ state: 'paired', usable: true });
  });

  test('a mark is waited for at a secondary that it has not reached yet', async () => {
    const sites = new Sites();
    const { a, c } = await sites.paired();
    const until = { kind: 'mark', name: 'nightly' } as const;
    const waiting = c.wait({ until, timeoutMs: undefined });
    const { sequence } = await sites.drive(a.mark('nightly'));
    await sites.drive(a.wait({ until, timeoutMs: undefined }));
    expect(await sites.drive(waiting)).toMatchObject({ sequence });
    // The primary is where marks are set: one that it does not know will not come by itself.
    const never = a.wait({ until: { kind: 'mark', name: 'never' }, timeoutMs: undefined });
    expect((await sites.refusal(never)).code).toBe('E_NOT_FOUND');
  });

  test('is refused to a set that has one, was used, is too small, or is the same', async () => {
    const sites = new Sites();
    const { a, c } = await sites.paired();
    const d = await sites.create('/nagoya');
    const refused = async (node: StorageNode, secondary: string) =>
      (await sites.refusal(node.createPair({ secondary }))).code;
    expect(await refused(a, '/nagoya')).toBe('E_PAIRED');
    expect(await refused(c, '/nagoya')).not.toBe('E_INTERNAL');
    expect(await refused(d, A)).toBe('E_NOT_EMPTY'); // the arguments are swapped
    expect(await refused(d, C)).toBe('E_NOT_EMPTY');
    expect(await refused(d, '/nagoya')).toBe('E_STATE');
    expect(await refused(d, '/nowhere')).toBe('E_UNREACHABLE');
    await sites.create('/small', [{ name: 'alpha', sizeBytes: 4096 }]);
    expect(await refused(d, '/small')).toBe('E_TOO_SMALL');
    await sites.create('/other', [...sites.volumes, { name: 'more', sizeBytes: 4096 }]);
    expect(await refused(d, '/other')).toBe('E_TOO_SMALL');
    expect(d.set.file.pair).toBeNull();
  });

  test('that is ended leaves two groups that hosts can write, no way between them', async () => {
    const sites = new Sites();
    const { a, c } = await sites.paired();
    await sites.write(A, write(0, 0, 9000, 1));
    await sites.replicate(A);
    const { pair } = a.set.file;
    const { groupId } = c.set.file;
    expect((await sites.refusal(c.deletePair())).code).toBe('E_ROLE');
    expect((await sites.drive(a.deletePair())).changed).toBe(true);
    expect((await sites.drive(a.deletePair())).changed).toBe(false);
    expect(c.set.file).toMatchObject({ role: 'primary', pair: null, epoch: 2 });
    expect(c.set.file.groupId).not.toBe(groupId);
    await sites.drive(performOn(c.set, write(0, 100, 200, 5)));
    await sites.flush(C);
    expect((await sites.refusal(a.replicate(REPLICATE))).code).toBe('E_NOT_PAIRED');
    // Even a primary that still believes in the pair is not listened to.
    await sites.drive(a.set.identity.update((file) => ({ ...file, pair })));
    const refused = await sites.refusal(a.replicate(REPLICATE));
    expect(refused.code).toBe('E_ROLE');
    const before = peekAll(c.set);
    await sites.crash(C, 'lose');
    const again = await sites.open(C);
    expect(difference(peekAll(again.set), before)).toBeUndefined();
    expect(again.set.newest).toBe(a.set.newest + 1);
  });

  test.each([
    ['that has not said hello yet', 0],
    ['that is idle', 1],
    ['in full flow', 70],
  ])('[R4] that is ended under a link %s takes nothing more from it', async (_, afterMs) => {
    const sites = new Sites({ syncMs: 3 });
    const { a, c } = await sites.paired();
    const letGo = a.replication.want();
    await sites.clock.run(() => a.replication.isUp);
    for (let id = 0; id < 6; id += 1) await sites.write(A, write(0, id * 500, 3000, id));
    await sites.clock.pass(afterMs);
    const ended = a.deletePair();
    for (let id = 6; id < 16; id += 1) {
      await sites.write(A, write(0, id * 500, 3000, id));
      await sites.flush(A);
    }
    await sites.drive(ended);
    await sites.drive(letGo());
    const { takenOverAt } = c.set.file;
    const kept = sites.model.after(takenOverAt?.sequence ?? -1);
    expect(kept).toBeDefined();
    expect(difference(await sites.contents(C), kept ?? [])).toBeUndefined();
    await sites.clock.pass(500);
    await sites.crash(C, 'keep');
    const again = await sites.open(C);
    expect(again.set.file.takenOverAt).toEqual(takenOverAt);
    expect(difference(peekAll(again.set), kept ?? [])).toBeUndefined();
  });
});

describe('replicate', () => {
  test('is refused where there is nothing to send', async () => {
    const sites = new Sites();
    const { c } = await sites.paired();
    const d = await sites.create('/nagoya');
    expect((await sites.refusal(c.replicate(REPLICATE))).code).toBe('E_ROLE');
    expect((await sites.refusal(d.replicate(REPLICATE))).code).toBe('E_NOT_PAIRED');
  });

  test('a sealed set brings what it owes; a retired one names its successor', async () => {
    const sites = new Sites();
    const { a } = await sites.paired();
    await sites.write(A, write(0, 0, 9000, 1));
    await sites.create(B);
    await sites.migrate(true);
    expect(a.status().set.state).toBe('sealed');
    const answer = await sites.drive(a.replicate(REPLICATE));
    expect(answer.state).toBe('sealed');
    await sites.migrate();
    const error = await sites.refusal(a.replicate(REPLICATE));
    expect(error).toMatchObject({ code: 'E_SEALED', hint: `use ${B} instead` });
  });

  test('[R10] asks the secondary also when nothing is owed: it may be gone', async () => {
    const sites = new Sites();
    await sites.paired();
    await sites.close(A);
    const a = await sites.open(A);
    sites.away.add(C);
    expect((await sites.refusal(a.replicate(REPLICATE))).code).toBe('E_UNREACHABLE');
    sites.away.delete(C);
    expect((await sites.drive(a.replicate(REPLICATE))).sentRecords).toBe(0);
  });

  test('says what it sent, and sends nothing twice', async () => {
    const sites = new Sites();
    const { a } = await sites.paired();
    await sites.write(A, write(0, 0, 9000, 1), write(1, 0, 100, 2));
    const answer = await sites.drive(a.replicate(REPLICATE));
    expect(answer).toMatchObject({ sentRecords: 4, copies: 0, copiedBytes: 0, state: 'paired' });
    expect(answer.restoredSequence).toBe(answer.nextSequence - 1);
    expect(answer.sentBytes).toBeGreaterThan(9100);
    expect(await sites.drive(a.replicate(REPLICATE))).toMatchObject({ sentRecords: 0 });
  });
});

describe('wait', () => {
  test('for a mark and for a number, on either side', async () => {
    const sites = new Sites();
    const { a, c } = await sites.paired();
    await sites.write(A, write(0, 0, 5000, 1), { kind: 'mark', name: 'monday' });
    const monday = sites.model.newest;
    const onC = c.wait({ until: { kind: 'sequence', sequence: monday }, ...WAIT });
    onC.catch(() => undefined);
    const answer = await sites.drive(a.wait({ until: { kind: 'mark', name: 'monday' }, ...WAIT }));
    expect(answer.sequence).toBe(monday);
    expect(answer.restoredSequence).toBeGreaterThanOrEqual(monday);
    expect((await sites.drive(onC)).sequence).toBe(monday);
    const there = await sites.drive(c.wait({ until: { kind: 'mark', name: 'monday' }, ...WAIT }));
    expect(there.sequence).toBe(monday);
    const unknown = await sites.refusal(a.wait({ until: { kind: 'mark', name: 'no' }, ...WAIT }));
    expect(unknown.code).toBe('E_NOT_FOUND');
  });

  test('ends at its timeout, or when the secondary cannot be reached', async () => {
    const sites = new Sites();
    const { a, c } = await sites.paired();
    const later = { kind: 'sequence', sequence: 99 } as const;
    const started = sites.clock.monotonicMs();
    expect((await sites.refusal(c.wait({ until: later, ...WAIT }))).code).toBe('E_TIMEOUT');
    expect((await sites.refusal(a.wait({ until: later, ...WAIT }))).code).toBe('E_TIMEOUT');
    expect(sites.clock.monotonicMs() - started).toBe(2000);
    sites.away.add(C);
    expect((await sites.refusal(a.wait({ until: later, ...WAIT }))).code).toBe('E_UNREACHABLE');
    const d = await sites.create('/nagoya');
    expect((await sites.refusal(d.wait({ until: later, ...WAIT }))).code).toBe('E_NOT_PAIRED');
  });

  test('ends when its set is closed, and when the link is cut', async () => {
    const sites = new Sites();
    const { a, c } = await sites.paired();
    const later = { kind: 'sequence', sequence: 99 } as const;
    const onC = sites.refusal(c.wait({ until: later, timeoutMs: undefined }));
    const onA = sites.refusal(a.wait({ until: later, timeoutMs: undefined }));
    await sites.clock.run(() => a.replication.isUp);
    await sites.close(C);
    expect((await onC).code).toBe('E_STOPPED');
    expect((await onA).code).toBe('E_UNREACHABLE');
  });
});

describe('[R9] a full journal', () => {
  test('refuses hosts with a word while nobody can be sent to, and recovers', async () => {
    const sites = new Sites({ journal: TINY_JOURNAL });
    const { a } = await sites.paired();
    sites.leaveAlone(C);
    let refused: unknown;
    for (let id = 0; id < 40 && refused === undefined; id += 1) {
      const change = write(0, (id * 1000) % 20_000, 8000, id);
      refused = await sites.drive(
        performOn(a.set, change).then(
          () => void sites.model.apply(change),
          (error: unknown) => error,
        ),
      );
    }
    expect(refused).toMatchObject({ code: 'E_JOURNAL_FULL' });
    expect(a.set.failure).toBeUndefined();
    expect(a.status().pair?.lag?.entries).toBe(sites.model.newest);
    expect(difference(await sites.contents(A), sites.model.now)).toBeUndefined();
    sites.away.delete(C);
    await sites.replicate(A);
    await sites.write(A, write(0, 0, 8000, 77), write(1, 0, 8000, 78));
    await sites.replicate(A);
    expect(await sites.differs(C)).toBeUndefined();
    // And a seal finds its room even when hosts find none.
    sites.leaveAlone(C);
    for (let id = 0; id < 40; id += 1) {
      const change = write(0, (id * 1000) % 20_000, 8000, id);
      const answered = await sites.drive(
        performOn(a.set, change).then(
          () => true,
          () => false,
        ),
      );
      if (!answered) break;
      sites.model.apply(change);
    }
    sites.away.delete(C);
    await sites.create(B);
    await sites.migrate();
    expect(await sites.differs(B)).toBeUndefined();
  });
});

describe('[R10] status', () => {
  test('lag is measured: entries, bytes and the age of the oldest', async () => {
    const sites = new Sites();
    const { a } = await sites.paired();
    expect(a.status().pair).toMatchObject({
      state: 'paired',
      usable: true,
      lag: { entries: 0, bytes: 0, seconds: 0 },
    });
    expect(a.status().health).toMatchObject({ healthy: true });
    await sites.clock.pass(60_000);
    await sites.write(A, write(0, 0, 10_000, 1));
    await sites.clock.pass(2500);
    await sites.write(A, write(0, 0, 100, 2));
    const { pair, health } = a.status();
    expect(pair?.lag).toMatchObject({ entries: 4, seconds: 2.5 });
    // Four headers of 96 bytes, the payloads, and padding.
    expect(pair?.lag?.bytes).toBeGreaterThanOrEqual(10_100 + 4 * 96);
    expect(pair?.lag?.bytes).toBeLessThan(10_100 + 4 * (96 + 32));
    expect(health).toMatchObject({ healthy: false, word: 'behind', next: `rcopy replicate ${A}` });
    await sites.replicate(A);
    expect(a.status().pair?.lag).toEqual({ entries: 0, bytes: 0, seconds: 0 });
    expect(a.status().health.healthy).toBe(true);
  });

  test('what was never heard of the secondary is not known', async () => {
    const sites = new Sites();
    const a = await sites.create(A);
    await sites.create(C);
    await sites.drive(a.createPair({ secondary: C }));
    await sites.write(A, write(0, 0, 100, 1));
    const { pair, health } = a.status();
    expect(pair).toMatchObject({ lag: null, lastContact: null, link: 'down', usable: false });
    expect(health).toMatchObject({ healthy: false, word: 'copying' });
  });

  test('while a copy is under way neither side calls anything restored or usable', async () => {
    const sites = new Sites({ syncMs: 3 });
    const a = await sites.create(A);
    const c = await sites.create(C);
    await sites.write(A, write(0, 0, 30_000, 1), write(1, 0, 20_000, 2));
    await sites.drive(a.createPair({ secondary: C }));
    const seen = new Set<string>();
    let early: string | undefined;
    a.set.onChange(() => {
      const { pair } = a.status();
      if (!pair || c.set.usable) return;
      seen.add(`${pair.state} ${pair.link}`);
      if (pair.usable || pair.restoredSequence > 0) early = JSON.stringify(pair);
    });
    await sites.replicate(A);
    expect(early).toBeUndefined();
    expect(seen).toContain('copying up');
    expect(a.status().pair).toMatchObject({ usable: true, state: 'paired', restoredSequence: 13 });
  });

  test('the link is up while it is, and the last contact keeps its time', async () => {
    const sites = new Sites();
    const { a, c } = await sites.paired();
    const letGo = a.replication.want();
    await sites.clock.run(() => a.status().pair?.link === 'up');
    expect(c.status().pair).toMatchObject({ link: 'up', lag: null, usable: true });
    expect(c.status().pair?.sources).toMatchObject([{ setId: a.set.file.setId, epoch: 1 }]);
    await sites.write(A, write(0, 0, 100, 1));
    await sites.flush(A);
    await sites.clock.pass(1000);
    const contact = a.status().pair?.lastContact;
    expect(contact).not.toBeNull();
    sites.cutLinks(A);
    await sites.clock.pass(5000);
    const { pair, health } = a.status();
    expect(pair).toMatchObject({ link: 'down', lastContact: contact });
    expect(pair?.reason).toMatch(/link/);
    expect(health.healthy).toBe(false);
    expect(c.status().pair).toMatchObject({ link: 'down', sources: [] });
    await sites.drive(letGo());
  });

  test('a torn tail that was cut is a notice; verify finds nothing wrong with that', async () => {
    const sites = new Sites();
    await sites.paired();
    await sites.write(A, write(0, 0, 4096, 1));
    await sites.flush(A);
    const { disk } = sites.machine(A);
    const [journal] = disk
      .list(`${A}/journal`, 'TEST:LIST')
      .filter((name) => /^\d/.test(name))
      .map((name) => `${A}/journal/${name}`);
    const before = (await sites.open(A)).set.newest;
    // The last record is half written when the power goes.
    disk.hook = ({ label, kind }) =>
      kind === 'sync' && label === 'JOURNAL:SYNC' ? disk.crash() : undefined;
    const node = await sites.open(A);
    node.set.volumes[0]?.submit(
      { kind: 'write', offset: 0, data: [Buffer.alloc(4096, 7)], length: 4096, fua: true },
      () => undefined,
    );
    await sites.clock.pass(100);
    await sites.crash(A, 'keep');
    const file = Buffer.from(sites.machine(A).disk.readFile(journal ?? ''));
    const at = file.lastIndexOf(Buffer.alloc(64, 7));
    sites.machine(A).disk.flipBit(journal ?? '', at, 3);
    const again = await sites.open(A);
    expect(again.set.newest).toBe(before);
    expect(again.status().notices.join()).toMatch(/tail/);
    const verified = await sites.drive(again.verify());
    expect(verified.findings).toEqual([]);
    await sites.replicate(A);
    expect(await sites.differs(C)).toBeUndefined();
  });
});

describe('[R8] verify', () => {
  test('finds a flipped byte in an image, and says where', async () => {
    const sites = new Sites();
    const { c } = await sites.paired();
    await sites.write(A, write(0, 0, 9000, 1), write(1, 4096, 4096, 2));
    await sites.replicate(A);
    for (const folder of [A, C]) {
      const node = await sites.open(folder);
      expect(await sites.drive(node.verify())).toMatchObject({ ok: true, findings: [] });
    }
    sites.machine(C).disk.flipBit(`${C}/volumes/beta.img`, 5000, 4);
    const found = await sites.drive(c.verify());
    expect(found.ok).toBe(false);
    expect(found.findings).toEqual([
      expect.objectContaining({ file: `${C}/volumes/beta.img`, offset: 4096 }),
    ]);
    const compared = await sites.drive((await sites.open(A)).verifyAgainst(C));
    expect(compared.equal).toBe(false);
    expect(compared.differences).toEqual([expect.objectContaining({ volume: 'beta' }) as unknown]);
  });

  test('finds a flipped bit in the journal, and names file and offset', async () => {
    const sites = new Sites();
    const { a } = await sites.paired();
    await sites.write(A, write(0, 0, 9000, 1));
    await sites.flush(A);
    const { disk } = sites.machine(A);
    const name = disk.list(`${A}/journal`, 'TEST:LIST').find((each) => /^\d/.test(each));
    const path = `${A}/journal/${name ?? ''}`;
    disk.flipBit(path, 4 * KIB + 700, 2);
    const found = await sites.drive(a.verify());
    expect(found.ok).toBe(false);
    expect(found.findings.map(({ problem }) => problem).join()).toMatch(/offset \d+: record \d/);
  });

  test('a bad cursor slot is a finding in a set closed in order, else a notice', async () => {
    for (const closes of [true, false]) {
      const sites = new Sites();
      await sites.create(A);
      await sites.write(A, write(0, 0, 100, 1));
      await sites.flush(A);
      if (closes) await sites.close(A);
      else await sites.crash(A, 'lose');
      const path = `${A}/cursors`;
      const newest = chooseCursorSlot(path, ...cursorSlots(sites, path)).generation;
      const offset = (newest % 2) * CURSOR_SLOT_BYTES;
      sites.machine(A).disk.flipBit(path, offset + 40, 1);
      const node = await sites.open(A);
      expect(node.status().notices).toEqual([expect.stringContaining(`at offset ${offset}`)]);
      const { findings } = await sites.drive(node.verify());
      expect(findings).toMatchObject(closes ? [{ file: path, offset }] : []);
      // Opening and closing have written both slots: nothing is left to find.
      await sites.close(A);
      const again = await sites.drive((await sites.open(A)).verify());
      expect(again).toMatchObject({ set: 'tokyo', ok: true, findings: [] });
      expect(await sites.differs(A)).toBeUndefined();
    }
  });

  test('checks every segment, set.json, cursors and sizes while the set is open', async () => {
    const sites = new Sites({ journal: TINY_JOURNAL });
    const { a } = await sites.paired();
    await sites.close(C);
    await sites.write(A, write(0, 0, 11_000, 1), write(1, 0, 11_000, 2), write(0, 0, 11_000, 3));
    await sites.flush(A);
    const { disk } = sites.machine(A);
    const segments = disk.list(`${A}/journal`, 'TEST:LIST').filter((name) => /^\d/.test(name));
    expect(segments.length).toBeGreaterThan(2);
    const damaged = segments.slice(0, 2).map((name) => `${A}/journal/${name}`);
    for (const [index, path] of damaged.entries()) disk.flipBit(path, [4000, 60][index] ?? 0, 2);
    disk.flipBit(`${A}/set.json`, 30, 2);
    disk.flipBit(`${A}/cursors`, 90, 2);
    const { findings } = await sites.drive(a.verify());
    expect(findings.map(({ file }) => file)).toEqual([
      `${A}/set.json`,
      `${A}/cursors`,
      ...damaged.toReversed(),
    ]);
  });

  test('says nothing against hosts that write meanwhile', async () => {
    const sites = new Sites();
    const { a } = await sites.paired();
    await sites.write(A, write(0, 0, 9000, 1));
    const verified = a.verify();
    const [device] = a.set.volumes;
    const data = [Buffer.alloc(5000, 9)];
    const answered =
      device && submitAndWait(device, { kind: 'write', offset: 0, data, length: 5000, fua: false });
    expect(await sites.drive(verified)).toMatchObject({ ok: true });
    if (answered) await sites.drive(answered);
  });
});

test('[R10] a comparison finds no differences when the primary moves meanwhile', async () => {
  const sites = new Sites({ daemons: {} });
  const { a, c } = await sites.paired();
  await sites.write(A, write(0, 0, 9000, 1), write(1, 0, 9000, 2));
  await sites.replicate(A);
  await sites.create(B);
  const digest = c.set.readForPeer.bind(c.set);
  let asked = 0;
  c.set.readForPeer = async (...range) => {
    asked += 1;
    if (asked === 1) {
      const b = await sites.open(B);
      await b.migrate({ ...MIGRATE, mode: 'handoff' });
      await performOn(b.set, write(0, 0, 5000, 9));
      await sites.clock.sleep(1000);
    }
    return digest(...range);
  };
  const refused = await sites.refusal(a.verifyAgainst(C));
  expect(refused).toMatchObject({ code: 'E_STATE' });
  expect(refused.message).toMatch(/moved on meanwhile/);
});

test('a set that has stopped says so to others, and nothing of damage', async () => {
  const sites = new Sites();
  const { a } = await sites.paired();
  await sites.write(A, write(0, 0, 9000, 1));
  const b = await sites.create(B);
  await sites.drive(b.migrate({ ...MIGRATE, detach: true }));
  // What it was about to write is half written: who reads on would take that for damage.
  a.set.fail(new RcopyError('E_IO', 'the disk of tokyo fails'));
  const refused = await sites.refusal(b.verifyAgainst(A));
  expect([refused.code, refused.message]).toEqual(['E_IO', 'the disk of tokyo fails']);
  await sites.crash(A, 'keep');
  await sites.open(A);
  await sites.drive(b.resumeMigration({ maxRate: undefined }));
  await sites.closeAll();
});

test('[R8] a verify while an epoch is being opened finds nothing', async () => {
  const sites = new Sites({ syncMs: 20 });
  const a = await sites.create(A);
  const marked = a.mark('noon');
  await sites.clock.run(() => a.set.ownRun() !== undefined);
  expect(a.set.ownRun()?.headDurable).toBe(false);
  expect((await sites.drive(a.verify())).findings).toEqual([]);
  await sites.drive(marked);
  await sites.closeAll();
});
