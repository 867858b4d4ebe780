/**
 * The source of a migration is lost for good, at each step of each way to migrate. What is kept,
 * what is lost and which command goes on are the rows of the table in the migration's page.
 */
import { describe, expect, test } from '@jest/globals';
import { readDevice, submitAndWait } from '../../src/device/device.ts';
import type { StorageNode } from '../../src/node/storage-node.ts';
import { difference, write } from '../support/image-sets.ts';
import { A, B, C, MIGRATE, REPLICATE, Sites, WAYS } from '../support/sites.ts';

type Way = (typeof WAYS)[number];

/** What the secondary lacks lies in the first blocks of the first volume. */
const OWED_BYTES = 9000;

class Loss {
  readonly sites = new Sites();
  /** The newest number that C has restored when A is lost. */
  restored = 0;
  private readonly way: Way;

  constructor(way: Way) {
    this.way = way;
  }

  /** C follows, then lacks some numbers; B is there. */
  async begin(): Promise<StorageNode> {
    const { sites } = this;
    const { c } = await sites.paired();
    await sites.write(A, write(0, 0, 30_000, 1), write(1, 5000, 9000, 2));
    await sites.replicate(A);
    await sites.write(A, write(0, 100, OWED_BYTES - 200, 3));
    this.restored = c.set.feed.position.sequence;
    return sites.create(B);
  }

  get request() {
    return { ...MIGRATE, ...this.way };
  }

  async switched(): Promise<StorageNode> {
    const b = await this.begin();
    await this.sites.drive(b.migrate({ ...this.request, detach: true }));
    return b;
  }

  /** The machine of A burns. */
  async lose(): Promise<void> {
    const { sites } = this;
    await sites.crash(A, 'lose');
    sites.machine(A).disk.remove(A, 'TEST:REMOVE');
    sites.away.add(A);
    await sites.clock.pass(1);
  }
}

/** B is the primary, C follows it, and both hold what hosts were told is written. */
async function expectWhole({ sites }: Loss): Promise<void> {
  await sites.write(B, write(1, 300, 5000, 77));
  await sites.replicate(B);
  for (const folder of [B, C])
    expect([folder, await sites.differs(folder)]).toEqual([folder, undefined]);
  const { set } = await sites.open(B);
  expect(set.file.migration?.state).toBe('done');
  expect(set.file.maps).toEqual([]);
  await sites.closeAll();
  expect(await sites.differs(B)).toBeUndefined();
}

/** C goes on alone with what it had restored; hosts can write to it. */
async function expectTakeover({ sites, restored }: Loss): Promise<void> {
  const c = await sites.open(C);
  const answer = await sites.drive(c.takeOver({ force: true }));
  expect(answer).toMatchObject({ forced: true, sequence: restored });
  const kept = sites.model.after(restored);
  expect(difference(await sites.contents(C), kept)).toBeUndefined();
  const device = c.set.volumes[1] ?? missing();
  const data = [Buffer.alloc(600, 9)];
  const request = { kind: 'write', offset: 0, data, length: 600, fua: true } as const;
  const written = await sites.drive(submitAndWait(device, request));
  expect(written).toMatchObject({ ok: true, sequence: restored + 1 });
}

const name = ({ mode, copy }: Way) => `${mode}, ${copy}-copy`;
const ways = WAYS.map((way) => [name(way), way] as const);

describe('before the switch', () => {
  test.each(ways)('%s: C takes over as far as it has come', async (_, way) => {
    const loss = new Loss(way);
    const b = await loss.begin();
    const started = b.migrate({ ...loss.request, maxRate: 1000 });
    started.catch(() => undefined);
    await loss.sites.clock.run(() => b.set.file.migration !== null);
    await loss.lose();
    await loss.sites.refusal(started);
    for (const sourceLost of [false, true]) {
      const refused = b.resumeMigration({ maxRate: undefined, sourceLost });
      expect((await loss.sites.refusal(refused)).code).toMatch(/E_UNREACHABLE|E_STATE/);
    }
    await expectTakeover(loss);
  });
});

describe('sealed, and B has not accepted', () => {
  test.each(ways)('%s: C takes over as far as it has come', async (_, way) => {
    const loss = new Loss(way);
    const { sites } = loss;
    const b = await loss.begin();
    const started = b.migrate({ ...loss.request, detach: true });
    started.catch(() => undefined);
    const a = await sites.open(A);
    await sites.clock.run(() => a.set.file.seal !== null);
    await loss.lose();
    await sites.refusal(started);
    expect(b.set.file.role).toBe('target');
    const refused = await sites.refusal(
      b.resumeMigration({ maxRate: undefined, sourceLost: true }),
    );
    expect(refused).toMatchObject({
      code: 'E_STATE',
      hint: expect.stringMatching(/takeover \/kyoto/),
    });
    await expectTakeover(loss);
  });
});

describe('switched, C lacks what only A had', () => {
  const post = WAYS.filter(({ copy }) => copy === 'post').map((way) => [name(way), way] as const);
  const ahead = WAYS.filter(({ copy }) => copy === 'pre').map((way) => [name(way), way] as const);

  test.each(post)('%s: refused, with what each choice loses; C takes over', async (_, way) => {
    const loss = new Loss(way);
    const { sites } = loss;
    const b = await loss.switched();
    await sites.write(B, write(1, 0, 700, 5));
    await loss.lose();
    expect((await sites.refusal(b.resumeMigration({ maxRate: undefined }))).code).toBe(
      'E_UNREACHABLE',
    );
    const refused = await sites.refusal(
      b.resumeMigration({ maxRate: undefined, sourceLost: true }),
    );
    expect(refused.code).toBe('E_STATE');
    expect(refused.message).toMatch(/3 blocks that kyoto lacks were only there/);
    expect(refused.hint).toMatch(/takeover \/kyoto --force.*lost/);
    await expectTakeover(loss);
  });

  test.each(ahead)('%s: B has the blocks from before the switch: it goes on', async (_, way) => {
    const loss = new Loss(way);
    const b = await loss.switched();
    await loss.sites.write(B, write(1, 0, 700, 5));
    await loss.lose();
    await loss.sites.drive(b.resumeMigration({ maxRate: undefined, sourceLost: true }));
    await expectWhole(loss);
  });
});

describe('switched, C lacks numbers, B has their blocks', () => {
  test.each(ways)('%s: resume --source-lost goes on by blocks', async (_, way) => {
    const loss = new Loss(way);
    const { sites } = loss;
    const b = await loss.switched();
    // Hosts write, and read what C lacks: so it is here.
    await sites.write(B, write(0, 20_000, 5000, 6), write(0, 50, 60, 7));
    await sites.drive(readDevice(b.set.volumes[0] ?? missing(), 0, OWED_BYTES));
    await sites.drive(b.set.drain());
    await loss.lose();
    await sites.crash(B, 'lose');
    const again = await sites.open(B);
    await sites.drive(again.resumeMigration({ maxRate: undefined, sourceLost: true }));
    expect(again.set.file.migration).toMatchObject({ mode: 'bitmap', sourceLost: true });
    await expectWhole(loss);
  });
});

describe('switched, C has everything up to N - 1', () => {
  test.each(ways)('%s: resume goes on, blocks come from C', async (_, way) => {
    const loss = new Loss(way);
    const { sites } = loss;
    const b = await loss.switched();
    await sites.write(B, write(0, 20_000, 5000, 6));
    await sites.drive(b.replicate(REPLICATE));
    expect(b.set.contents.absentBytes > 0).toBe(way.copy === 'post');
    await sites.write(B, write(0, 25_000, 30, 7));
    await loss.lose();
    await sites.drive(b.resumeMigration({ maxRate: undefined }));
    await expectWhole(loss);
  });
});

describe('B has all blocks, and A owes nothing', () => {
  test.each(ways.filter(([, { mode }]) => mode !== 'drain'))(
    '%s: A may be deleted before C has anything',
    async (_, way) => {
      const loss = new Loss(way);
      const { sites } = loss;
      const b = await loss.switched();
      sites.leaveAlone(C);
      await sites.clock.pass(1);
      await sites.write(B, write(0, 20_000, 5000, 6));
      const refused = await sites.refusal(b.resumeMigration({ maxRate: undefined }));
      expect(refused.code).toBe('E_UNREACHABLE'); // only C is missing
      expect(b.set.contents.absentBytes).toBe(0);
      await loss.lose();
      sites.away.delete(C);
      await sites.drive(b.resumeMigration({ maxRate: undefined }));
      await expectWhole(loss);
    },
  );
});

function missing(): never {
  throw new Error('something is missing');
}

describe('switched, C has received more than the source knew', () => {
  const modes = ['drain', 'handoff'] as const;
  test.each(modes)('%s: resume --source-lost goes on by blocks, a kept link too', async (mode) => {
    const loss = new Loss({ mode, copy: 'post' });
    const { sites } = loss;
    const b = await loss.begin();
    const machine = sites.machine(C);
    machine.hung = [];
    const a = await sites.open(A);
    const replicating = a.replicate(REPLICATE).catch(() => undefined);
    await sites.clock.pass(200);
    sites.cutLinks(C);
    await sites.drive(replicating);
    await sites.write(A, write(0, 300, 600, 4));
    await sites.drive(b.migrate({ ...loss.request, detach: true }));
    await sites.drive(readDevice(b.set.volumes[0] ?? missing(), 0, OWED_BYTES));
    await sites.drive(b.set.drain());
    await loss.lose();
    const hung = machine.hung;
    machine.hung = undefined;
    for (const end of hung) end();
    b.startServing();
    await sites.clock.pass(500);
    await sites.drive(b.resumeMigration({ maxRate: undefined, sourceLost: true }));
    await expectWhole(loss);
  });
});
