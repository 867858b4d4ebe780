/** Counter-examples to ideas that sounded right, end to end: each names the rule that it tests. */
import { describe, expect, test } from '@jest/globals';
import { FrameChannel } from '../../src/link/channel.ts';
import { encodeJson } from '../../src/link/messages.ts';
import type { Hello } from '../../src/link/messages.ts';
import { decodeSealRecord, encodeOpen, encodeSeal } from '../../src/format/control-records.ts';
import { encodeRecord } from '../../src/format/record.ts';
import { KIB } from '../../src/base/limits.ts';
import type { EpochId, SetId } from '../../src/base/ids.ts';
import { readSetFile } from '../../src/imageset/set-file-store.ts';
import type { StorageNode } from '../../src/node/storage-node.ts';
import { TINY_JOURNAL, difference, pattern, peekAll, write } from '../support/image-sets.ts';
import { A, B, C, REPLICATE, Sites } from '../support/sites.ts';
import { strayByte } from '../support/write-ahead.ts';

async function detached() {
  const sites = new Sites();
  const nodes = await sites.paired();
  await sites.write(A, write(0, 0, 9000, 1));
  await sites.replicate(A);
  await sites.write(A, write(0, 3000, 9000, 2));
  const b = await sites.create(B);
  await sites.migrate(true);
  return { sites, ...nodes, b };
}

describe('a sender shipping what it later loses', () => {
  test.each([1, 2, 3, 4, 5, 6])(
    '[R3] the secondary never holds more than a primary that lost its power (seed %d)',
    async (seed) => {
      const sites = new Sites({ seed, syncMs: 7 });
      const { a, c } = await sites.paired();
      const letGo = a.replication.want();
      await sites.clock.run(() => a.replication.isUp);
      let ahead: string | undefined;
      c.set.onChange(() => {
        const { next } = c.set.journal.run(1) ?? { next: 0 };
        const durable = a.set.ownRun()?.durable ?? 0;
        if (next - 1 > durable) ahead ??= `C has ${next - 1}, only ${durable} is durable at A`;
      });
      // Nobody flushes: what is durable at A is what A synced by itself.
      for (let id = 0; id < 12; id += 1) {
        await sites.write(A, write(id % 2, id * 700, 6000, id));
        await sites.clock.pass((id * seed * 5) % 40);
      }
      await sites.write(A, write(0, 0, 6000, 99));
      expect(ahead).toBeUndefined();
      const held = c.set.newest;
      await sites.crash(A, 'lose');
      await letGo();
      const again = await sites.open(A);
      expect(again.set.newest).toBeGreaterThanOrEqual(held);
      expect(again.set.newest).toBeLessThan(sites.model.newest);
      const kept = sites.model.after(again.set.newest);
      expect(difference(await sites.contents(A), kept ?? [])).toBeUndefined();
      const states = sites.model.upTo(again.set.newest);
      expect(strayByte(peekAll(c.set), states)).toBeUndefined();
      await sites.drive(again.replicate(REPLICATE));
      expect(difference(peekAll(c.set), kept ?? [])).toBeUndefined();
    },
  );
});

describe('half a request of the greatest size synced and sent, then a crash', () => {
  test('[R8] [R1] neither site has any of it, and the numbers are given again', async () => {
    const sites = new Sites();
    const { a, c } = await sites.paired();
    await sites.write(A, write(0, 0, 4096, 1));
    await sites.replicate(A);
    const before = sites.model.newest;
    // Eight records, of which the journal's segment takes four before it is synced and they leave.
    const run = a.set.ownRun();
    const data = pattern(9, 32 * KIB);
    for (let part = 0; part < 4; part += 1) {
      const payload = [data.subarray(part * 4096, (part + 1) * 4096)];
      a.set.journal.append(run ?? missing(), {
        kind: 'write',
        volume: 0,
        offset: part * 4096,
        length: 4096,
        payload,
        payloadLength: 4096,
        endOfRequest: false,
        mayFree: false,
      });
    }
    a.set.journal.write(run ?? missing(), 4 * 4096);
    await sites.drive(a.set.journal.sync());
    const letGo = a.replication.want();
    await sites.clock.pass(1000);
    expect(run?.durable).toBe(before);
    expect(c.set.newest).toBe(before);
    await sites.crash(A, 'keep');
    await letGo();
    const again = await sites.open(A);
    expect(again.set.newest).toBe(before);
    await sites.write(A, write(0, 100, 5000, 3));
    await sites.replicate(A);
    expect(await sites.differs(A)).toBeUndefined();
    expect(difference(peekAll(c.set), sites.model.now)).toBeUndefined();
  });

  test('[R1] the secondary that got half of it applies nothing', async () => {
    const sites = new Sites();
    const { a, c } = await sites.paired();
    await sites.write(A, write(0, 0, 4096, 1));
    await sites.replicate(A);
    const before = sites.model.newest;
    await sites.write(A, write(0, 0, 32 * KIB, 2));
    await sites.flush(A);
    const run = a.set.ownRun() ?? missing();
    const reader = run.readFrom(before + 1);
    const half = Array.from({ length: 4 }, () => reader.next(run.durable) ?? missing());
    const channel = await greet(sites, helloOf(a));
    channel.post(
      'records',
      half.map(({ bytes }) => bytes),
    );
    await sites.clock.pass(500);
    expect(c.set.journal.run(1)?.next).toBe(before + 5);
    expect(c.set.newest).toBe(before);
    await sites.crash(C, 'keep');
    await sites.open(C);
    expect(await sites.differs(C)).toBeUndefined();
    await sites.replicate(A);
    expect(await sites.differs(C)).toBeUndefined();
    expect((await sites.open(C)).set.newest).toBe(sites.model.newest);
  });
});

describe('C’s journal full of later-epoch records when the earlier ones arrive', () => {
  test('[R9] the earlier ones find their room, and the later sender waits', async () => {
    const sites = new Sites({ journal: TINY_JOURNAL });
    const { a, b, c } = await threeWith(sites);
    for (let id = 0; id < 5; id += 1) await sites.write(A, write(0, id * 500, 8000, id));
    await sites.flush(A);
    await sites.migrate(true);
    // Only B can be heard: it fills what C gives to later epochs.
    sites.wrap = (ends, address) => {
      if (address === A) for (const end of ends) end.destroy(new Error('A is cut off'));
    };
    sites.cutLinks(A);
    const later = b.replication.want();
    for (let id = 20; id < 37; id += 1) await sites.write(B, write(1, id * 50, 4096, id));
    await sites.clock.pass(2000);
    const stored = c.set.journal.run(2)?.next ?? 0;
    expect(stored).toBeGreaterThan(b.set.ownRun()?.identity.first ?? missing());
    expect(stored).toBeLessThan(sites.model.newest);
    expect(c.set.file.epoch).toBe(1);
    sites.wrap = undefined;
    await sites.drive(a.replicate(REPLICATE));
    await sites.drive(b.resumeMigration({ maxRate: undefined }));
    await sites.replicate(B);
    await sites.drive(later());
    expect(difference(peekAll(c.set), sites.model.now)).toBeUndefined();
  });

  test('[R9] and the other way round: the later epoch begins when its room is there', async () => {
    const sites = new Sites({ journal: TINY_JOURNAL, syncMs: 40 });
    const { a, b, c } = await threeWith(sites);
    // A burst fills C's journal before C's slow disk can apply and trim any of it.
    for (let id = 0; id < 7; id += 1) await sites.write(A, write(0, id * 500, 8000, id));
    await sites.flush(A);
    await sites.migrate(true);
    await sites.write(B, write(1, 0, 4096, 20));
    await sites.flush(B);
    const both = Promise.all([a.replicate(REPLICATE), b.replicate(REPLICATE)]);
    await sites.drive(both);
    expect(c.set.failure).toBeUndefined();
    expect(difference(peekAll(c.set), sites.model.now)).toBeUndefined();
    expect(c.set.journal.bytes).toBeLessThanOrEqual(c.set.journal.capacityBytes);
  });
});

describe('a flipped bit in A’s seal', () => {
  test('[R4] [R8] on A’s disk: A stays sealed, or is damaged; it takes no write', async () => {
    const { sites } = await detached();
    await sites.close(A);
    const machine = sites.machine(A);
    const { disk } = machine;
    const name = disk.list(`${A}/journal`, 'TEST:LIST').findLast((each) => /^\d/.test(each));
    const path = `${A}/journal/${name ?? ''}`;
    const seal = Buffer.from(readSetFile(disk, A).seal?.record ?? '', 'hex');
    const at = Buffer.from(disk.readFile(path)).indexOf(seal);
    expect(at).toBeGreaterThan(0);
    for (let bit = 0; bit < seal.length * 8; bit += 61) {
      machine.disk = disk.survivors('keep', bit);
      machine.disk.flipBit(path, at + (bit >> 3), bit & 7);
      const outcome = await sites.open(A).then(
        ({ set }) => set.refusal('write')?.code ?? 'writable',
        (error: { code?: string }) => `damaged: ${error.code}`,
      );
      expect(['damaged: E_DAMAGED', 'damaged: E_VERSION', 'E_SEALED']).toContain(outcome);
      machine.node = undefined;
    }
  });

  test('[R8] on the wire: the link ends, nothing is taken, the next link brings it', async () => {
    const { sites, a, c } = await detached();
    const seal = Buffer.from(a.set.file.seal?.record ?? '', 'hex');
    let flipped = 0;
    sites.wrap = ([dialled], address) => {
      if (address !== C) return;
      const send = dialled.write.bind(dialled);
      dialled.write = (parts) =>
        send(
          parts.map((part) => {
            if (flipped > 0 || !Buffer.from(part).equals(seal)) return part;
            flipped += 1;
            const damaged = Buffer.from(part);
            damaged.writeUInt8((damaged[100] ?? 0) ^ 4, 100);
            return damaged;
          }),
        );
    };
    sites.cutLinks(C);
    await sites.clock.pass(1);
    const error = await sites.refusal(a.replicate(REPLICATE));
    expect(error.code).toBe('E_PROTOCOL');
    expect(flipped).toBe(1);
    expect(c.set.journal.run(1)?.seal).toBeUndefined();
    await sites.drive(a.replicate(REPLICATE));
    expect(c.set.journal.run(1)?.seal?.bytes.equals(seal)).toBe(true);
  });

  test('[R4] [R8] in what B shows: C takes nothing of B’s epoch', async () => {
    const { sites, b, c } = await detached();
    const seal = Buffer.from(b.set.file.migration?.handover?.sealRecord ?? '', 'hex');
    const before = c.set.newest;
    for (let bit = 0; bit < seal.length * 8; bit += 37) {
      const shown = Buffer.from(seal);
      shown.writeUInt8((shown[bit >> 3] ?? 0) ^ (1 << (bit & 7)), bit >> 3);
      const channel = await greet(sites, { ...helloOf(b), parentSeal: shown.toString('hex') });
      await sites.clock.run(() => channel.hasEnded);
      expect(reasons.get(channel)).toMatchObject({
        code: expect.stringMatching(/^E_(DAMAGED|SPLIT_BRAIN|VERSION)$/),
      });
    }
    expect(c.set.journal.run(2)).toBeUndefined();
    expect(c.set.newest).toBe(before);
    await sites.migrate();
    expect(c.set.newest).toBe(sites.model.newest);
  });
});

describe('successors', () => {
  test('[R4] B’s records without a seal are refused', async () => {
    const { sites, b, c } = await detached();
    const channel = await greet(sites, { ...helloOf(b), parentSeal: null });
    await sites.clock.run(() => channel.hasEnded);
    expect(reasons.get(channel)).toMatchObject({ code: 'E_SPLIT_BRAIN' });
    expect(c.set.journal.run(2)).toBeUndefined();
  });

  test('[R4] an open record that does not carry the seal that was shown is refused', async () => {
    const { sites, b, c } = await detached();
    const hello = helloOf(b);
    const { header } = b.set.ownRun()?.head ?? missing();
    const { ownChain: _, ...fields } = header;
    for (const parent of [{ kind: 'none' }, { kind: 'takeover', at: proven(a1) }] as const) {
      const payload = encodeOpen({
        epochId: (hello.run?.id ?? '') as EpochId,
        writer: b.set.file.setId,
        parent,
      });
      const { bytes } = encodeRecord(fields, payload);
      const channel = await greet(sites, hello);
      channel.post('records', [bytes]);
      await sites.clock.run(() => channel.hasEnded);
      expect(reasons.get(channel)).toMatchObject({ code: 'E_SPLIT_BRAIN' });
      expect(c.set.journal.run(2)).toBeUndefined();
    }
  });

  test('[R4] of two that claim the same seal only the one that it names is taken', async () => {
    const { sites, b, c } = await detached();
    const other = '99'.repeat(16) as SetId;
    const channel = await greet(sites, { ...helloOf(b), setId: other });
    await sites.clock.run(() => channel.hasEnded);
    expect(reasons.get(channel)).toMatchObject({ code: 'E_SPLIT_BRAIN' });
    await sites.replicate(B);
    expect(c.set.newest).toBe(sites.model.newest);
  });

  test('[R4] a second seal of the same epoch, for another successor, is refused', async () => {
    const { sites, a, b, c } = await detached();
    await sites.drive(a.replicate(REPLICATE));
    expect(c.set.journal.run(1)?.seal).toBeDefined();
    // A seal that A never wrote, but could have: all that it says is right, and it names another.
    const { record, seal } = decodeSealRecord(
      Buffer.from(b.set.file.migration?.handover?.sealRecord ?? '', 'hex'),
    );
    const other = '99'.repeat(16) as SetId;
    const { ownChain: _, ...fields } = record.header;
    const { bytes } = encodeRecord(fields, encodeSeal({ ...seal, successor: other }));
    const hello = { ...helloOf(b), setId: other, parentSeal: bytes.toString('hex') };
    const channel = await greet(sites, hello);
    await sites.clock.run(() => channel.hasEnded);
    expect(reasons.get(channel)).toMatchObject({ code: 'E_SPLIT_BRAIN' });
    await sites.migrate();
    expect(c.set.newest).toBe(sites.model.newest);
  });

  test('[R4] A’s records behind its seal are no records: C completes the epoch once', async () => {
    const { sites, a, b, c } = await detached();
    await sites.write(B, write(0, 0, 5000, 8));
    await sites.flush(B);
    // Both at once, and again: whoever brings the seal, it stands once.
    await sites.drive(Promise.all([a.replicate(REPLICATE), b.replicate(REPLICATE)]));
    await sites.drive(a.replicate(REPLICATE));
    expect(c.set.file.epoch).toBe(2);
    expect(difference(peekAll(c.set), sites.model.now)).toBeUndefined();
  });
});

async function threeWith(sites: Sites) {
  const nodes = await sites.paired();
  const b = await sites.create(B);
  return { ...nodes, b };
}

const a1 = { epoch: 1, sequence: 6, chain: 0 };

function proven<T>(position: T): T {
  return position;
}

const reasons = new WeakMap<FrameChannel, unknown>();

/** Says hello to C as a test wants it; keeps why C ended the link. */
async function greet(sites: Sites, hello: Hello): Promise<FrameChannel> {
  const channel = new FrameChannel(await sites.dial('/test', C));
  let answered = false;
  channel.listen({
    frame: () => {
      answered = true;
    },
    ended: (error) => void reasons.set(channel, error),
  });
  channel.post('hello', [encodeJson(hello)]);
  await sites.clock.run(() => channel.hasEnded || answered);
  return channel;
}

/** What the node's sender would say. */
function helloOf({ set, address }: StorageNode): Hello {
  const { file } = set;
  const run = set.ownRun() ?? missing();
  const { id, first, writer } = run.identity;
  return {
    purpose: 'replicate',
    setId: file.setId,
    groupId: file.groupId,
    name: file.name,
    address,
    bootId: 'test',
    link: 9,
    pairId: file.pair?.id ?? null,
    run: { epoch: run.epoch, id, writer, first, next: run.next, sealed: false },
    carrierSeal: null,
    parentSeal: file.parentSeal,
  };
}

function missing(): never {
  throw new Error('something is missing');
}
