/**
 * A sender and a secondary over links in memory: copies under hosts that keep writing, cuts at any
 * byte, credits, rates, a newer link, and senders that are refused.
 */
import { describe, expect, test } from '@jest/globals';
import { KIB, LINK_CREDIT_BYTES, MIB, journalSizesFor } from '../../src/base/limits.ts';
import { chooseCursorSlot } from '../../src/format/cursors.ts';
import { FrameChannel } from '../../src/link/channel.ts';
import type { Frame } from '../../src/link/frame.ts';
import { encodeJson, encodeRangeHead } from '../../src/link/messages.ts';
import type { Hello } from '../../src/link/messages.ts';
import { Sender } from '../../src/link/sender.ts';
import type { StorageNode } from '../../src/node/storage-node.ts';
import { memoryStreamPair } from '../../src/sys/memory-stream.ts';
import type { ByteStream } from '../../src/sys/stream.ts';
import { cutAfter } from '../support/cut-after.ts';
import { difference, pattern, peekAll, write, zeroes } from '../support/image-sets.ts';
import { A, B, C, REPLICATE, Sites, performOn } from '../support/sites.ts';
import type { SitesOptions } from '../support/sites.ts';

/** How many cuts each way, spread over all bytes of a copy, and seeds of a host that writes on. */
const CUTS = Number(process.env['LINK_CUTS'] ?? 10);
const SEEDS = Array.from({ length: Number(process.env['LINK_SEEDS'] ?? 2) }, (_, at) => at + 1);

const BIG = [{ name: 'data', sizeBytes: 6 * MIB }];

/** A pair of which nothing was copied yet. */
async function unpaired(options: SitesOptions = {}) {
  const sites = new Sites(options);
  const a = await sites.create(A);
  const c = await sites.create(C);
  return { sites, a, c };
}

/** Lets a host write while a copy is under way; looks at C whenever it calls itself usable. */
class BusyHost {
  usableMoments = 0;
  wrong: string | undefined;
  private readonly sites: Sites;
  private readonly a: StorageNode;
  private readonly c: StorageNode;

  constructor(sites: Sites, a: StorageNode, c: StorageNode) {
    this.sites = sites;
    this.a = a;
    this.c = c;
  }

  /** One more request, answered before it returns to the caller's turn. */
  write(id: number, offset: number, length: number): void {
    const data = pattern(id, length);
    this.sites.model.apply({ kind: 'write', volume: 0, offset, data });
    const request = { kind: 'write', offset, data: [data], length, fua: false } as const;
    this.a.set.volumes[0]?.submit(request, () => undefined);
  }

  look(): void {
    const { set } = this.c;
    if (!set.usable || this.wrong !== undefined) return;
    this.usableMoments += 1;
    const { sequence } = set.feed.position;
    const expected = this.sites.model.after(sequence);
    this.wrong = expected
      ? difference(peekAll(set), expected)
      : `usable in the midst of a request, at ${sequence}`;
  }
}

describe('the first copy', () => {
  test.each(SEEDS)(
    '[R1] [R3] under a host that keeps writing; holes stay holes (seed %d)',
    async (seed) => {
      const { sites, a, c } = await unpaired({ seed, volumes: BIG, syncMs: 2 });
      for (let id = 0; id < 24; id += 1) {
        await sites.write(A, write(0, id * 256 * KIB, 6000, id));
      }
      const { environment } = a.set;
      const host = new BusyHost(sites, a, c);
      let copied = 0;
      c.set.onChange(() => host.look());
      a.set.onChange(() => {
        if (copied >= 30 || environment.random.below(2) > 0) return;
        copied += 1;
        const near = environment.random.below(24) * 256 * KIB;
        host.write(copied, near + environment.random.below(9000), 3000);
      });
      await sites.drive(a.createPair({ secondary: C }));
      const answer = await sites.drive(a.replicate(REPLICATE));
      expect(copied).toBeGreaterThan(10);
      copied = 30;
      expect(answer.copies).toBe(1);
      expect(host.wrong).toBeUndefined();
      expect(host.usableMoments).toBeGreaterThan(0);
      await sites.replicate(A);
      expect(difference(peekAll(c.set), sites.model.now)).toBeUndefined();
      // The volume is all hole but for what hosts wrote; so is its copy, and so was the way there.
      expect(answer.copiedBytes).toBeLessThan(400 * KIB);
      expect(sites.machine(C).disk.bytesAllocated).toBeLessThan(1.5 * MIB);
    },
  );

  test('[R1] makes durable that the secondary is not usable, then sends ranges', async () => {
    const { sites, a, c } = await unpaired({ syncMs: 2 });
    await sites.write(A, write(0, 0, 30_000, 1), write(1, 0, 20_000, 2));
    await sites.drive(a.createPair({ secondary: C }));
    const states: string[] = [];
    const { disk } = sites.machine(C);
    disk.hook = ({ label }) => {
      if (!/^IMAGE:(WRITE|ZERO)$/.test(label)) return;
      const found = disk.survivors('lose', 1).readFile(`${C}/cursors`);
      const slots = [found.subarray(0, 4096), found.subarray(4096)] as const;
      const { cursors } = chooseCursorSlot('cursors', ...slots);
      states.push(`${cursors.usable} ${cursors.copy !== null}`);
    };
    await sites.replicate(A);
    // Whatever is written under the copy, a crash finds a set that does not call itself usable.
    expect(new Set(states)).toEqual(new Set(['false true']));
    expect(c.set.usable).toBe(true);
  });
});

describe('[R6] a link that is cut', () => {
  /** The bytes that go each way in a whole first copy. */
  async function measure(): Promise<[toC: number, toA: number]> {
    const { sites, a } = await unpaired();
    const passed: [number, number] = [0, 0];
    sites.wrap = (ends) => {
      for (const [index, end] of ends.entries()) {
        const send = end.write.bind(end);
        end.write = (parts) => {
          passed[index === 0 ? 0 : 1] += parts.reduce((sum, part) => sum + part.length, 0);
          return send(parts);
        };
      }
    };
    await sites.write(A, write(0, 0, 12_000, 1), write(1, 3000, 5000, 2));
    await sites.drive(a.createPair({ secondary: C }));
    passed.fill(0);
    await sites.replicate(A);
    return passed;
  }

  /** One first copy and some more records, with one cut. Returns how many copies were begun. */
  async function copyWithCut(side: 0 | 1, at: number): Promise<number> {
    const { sites, a, c } = await unpaired();
    await sites.write(A, write(0, 0, 12_000, 1), write(1, 3000, 5000, 2));
    await sites.drive(a.createPair({ secondary: C }));
    let links = 0;
    sites.wrap = (ends) => {
      links += 1;
      if (links === 1) ends[side] = cutAfter(ends[side], at);
    };
    sites.cutLinks(A);
    let attempts = 0;
    for (let done = false; !done; attempts += 1) {
      expect(attempts).toBeLessThan(4);
      const error = await sites.drive(
        a.replicate(REPLICATE).then(
          () => undefined,
          (failure: { code: string }) => failure.code,
        ),
      );
      expect([undefined, 'E_UNREACHABLE']).toContain(error);
      done = error === undefined;
      expect(c.set.usable ? await sites.differs(C) : undefined).toBeUndefined();
      if (attempts === 0) await sites.write(A, write(0, 6000, 9000, 3), zeroes(1, 0, 4096));
    }
    await sites.replicate(A);
    expect(difference(peekAll(c.set), sites.model.now)).toBeUndefined();
    return a.replication.counts.copiesBegun;
  }

  test('at any byte, towards the secondary or back, is resumed: a sample', async () => {
    const [toC, toA] = await measure();
    expect(toC).toBeGreaterThan(17_000);
    let points = 0;
    for (const [side, bytes] of [
      [1, toC],
      [0, toA],
    ] as const) {
      for (let at = 0; at < bytes; at += Math.ceil(bytes / CUTS)) {
        const copies = await copyWithCut(side, at);
        // Begun again only where the secondary cannot have made the beginning durable.
        expect(copies).toBeLessThanOrEqual(2);
        points += 1;
      }
    }
    expect(points).toBeGreaterThan(16);
  });

  test('twice in the same copy: what came before both is not copied again', async () => {
    const { sites, a } = await unpaired({
      volumes: [{ name: 'data', sizeBytes: 24 * MIB }],
      journal: journalSizesFor(128 * MIB),
    });
    for (let at = 0; at < 24; at += 1) {
      await sites.drive(performOn(a.set, write(0, at * MIB, MIB, at)));
    }
    await sites.drive(a.createPair({ secondary: C }));
    let links = 0;
    sites.wrap = (ends) => {
      links += 1;
      if (links <= 2) ends[1] = cutAfter(ends[1], 9.5 * MIB);
    };
    sites.cutLinks(A);
    await sites.clock.pass(1);
    expect((await sites.refusal(a.replicate(REPLICATE))).code).toBe('E_UNREACHABLE');
    await sites.crash(C, 'lose');
    await sites.open(C);
    expect((await sites.refusal(a.replicate(REPLICATE))).code).toBe('E_UNREACHABLE');
    await sites.close(C);
    await sites.open(C);
    await sites.replicate(A);
    const { copiesBegun, copiedBytes } = a.replication.counts;
    expect(copiesBegun).toBe(1);
    // Only what was on its way, or not saved when the power went, is sent twice.
    expect(copiedBytes).toBeLessThan(24 * MIB + 2 * 4 * MIB);
    expect(difference(await sites.contents(C), await sites.contents(A))).toBeUndefined();
  });
});

describe('[R9] what is under way', () => {
  test('is bounded by the credit of a secondary that does not take it in', async () => {
    const { sites, a, c } = await unpaired({
      volumes: [{ name: 'data', sizeBytes: 8 * MIB }],
      journal: journalSizesFor(128 * MIB),
    });
    await sites.drive(a.createPair({ secondary: C }));
    await sites.replicate(A);
    const before = a.replication.counts.sentBytes;
    const { journal } = c.set;
    const admits = journal.admits.bind(journal);
    journal.admits = () => false;
    for (let id = 0; id < 28; id += 1) {
      await sites.drive(performOn(a.set, write(0, (id % 8) * MIB, MIB, id)));
    }
    const work = a.replicate(REPLICATE);
    work.catch(() => undefined);
    await sites.clock.pass(5000);
    const sent = a.replication.counts.sentBytes - before;
    expect(sent).toBeGreaterThan(LINK_CREDIT_BYTES / 2);
    expect(sent).toBeLessThan(LINK_CREDIT_BYTES + 2 * MIB);
    journal.admits = admits;
    c.set.changed();
    await sites.drive(work);
    expect(difference(await sites.contents(C), await sites.contents(A))).toBeUndefined();
  });

  test('a sender that sends more than its credit is cut off, and nothing is lost', async () => {
    const sites = new Sites();
    const { a, c } = await sites.paired();
    const channel = await greet(sites, helloOf(a));
    // The secondary has no room for the records that it took first, and waits for some.
    await sites.write(A, write(0, 0, 4096, 9));
    await sites.flush(A);
    const run = a.set.ownRun();
    const reader = run?.readFrom(run.next - 1);
    reader?.next(0); // the head of the run stands before it
    const record = reader?.next(run?.durable ?? 0);
    const { journal } = c.set;
    const admits = journal.admits.bind(journal);
    journal.admits = () => false;
    channel.post('records', record ? [record.bytes] : []);
    const flood = Buffer.alloc(MIB);
    for (let count = 0; count < 64; count += 1) channel.post('ping', [flood]);
    await sites.clock.run(() => channel.hasEnded);
    expect(stops(channel)).toMatchObject({ code: 'E_PROTOCOL' });
    journal.admits = admits;
    await sites.write(A, write(0, 0, 9000, 1));
    await sites.replicate(A);
    expect(difference(peekAll(c.set), sites.model.now)).toBeUndefined();
  });

  test('--max-rate paces by the clock', async () => {
    const sites = new Sites();
    const { a } = await sites.paired();
    for (let id = 0; id < 8; id += 1) await sites.write(A, write(0, 0, 32 * KIB, id));
    await sites.flush(A);
    const started = sites.clock.monotonicMs();
    await sites.drive(a.replicate({ timeoutMs: undefined, maxRate: 64 * KIB }));
    const seconds = (sites.clock.monotonicMs() - started) / 1000;
    // 256 KiB and headers at 64 KiB a second, less the quarter second that may come at once.
    expect(seconds).toBeGreaterThan(3.5);
    expect(seconds).toBeLessThan(5);
  });
});

describe('who may send', () => {
  test('a newer link of the same sender replaces the older one', async () => {
    const sites = new Sites();
    const { a, c } = await sites.paired();
    const older = await greet(sites, { ...helloOf(a), link: 50 });
    const newer = await greet(sites, { ...helloOf(a), link: 51 });
    await sites.clock.run(() => older.hasEnded);
    expect(stops(older)).toMatchObject({ code: 'E_UNREACHABLE' });
    expect(newer.hasEnded).toBe(false);
    expect(c.status().pair?.sources).toHaveLength(1);
    // One that was delayed on its way does not end what came after it.
    const late = await greet(sites, { ...helloOf(a), link: 49 });
    await sites.clock.run(() => late.hasEnded);
    expect(newer.hasEnded).toBe(false);
    // Nor does the number of an earlier opening of the sender count.
    await greet(sites, { ...helloOf(a), link: 1, bootId: 'again' });
    await sites.clock.run(() => newer.hasEnded);
  });

  const strangers: [string, (hello: Hello) => Hello, string][] = [
    ['a stranger', (hello) => ({ ...hello, setId: '99'.repeat(16) }), 'E_SPLIT_BRAIN'],
    [
      'the primary under another pair',
      (hello) => ({ ...hello, pairId: '98'.repeat(16) }),
      'E_NOT_PAIRED',
    ],
    ['the primary without a pair', (hello) => ({ ...hello, pairId: null }), 'E_NOT_PAIRED'],
    ['a set of another group', (hello) => ({ ...hello, groupId: '97'.repeat(16) }), 'E_NOT_PAIRED'],
    ['a sender without an epoch', (hello) => ({ ...hello, run: null }), 'E_PROTOCOL'],
    [
      'a stranger with something that is no seal',
      (hello) => ({ ...hello, setId: '99'.repeat(16), carrierSeal: 'abcd' }),
      'E_DAMAGED',
    ],
  ];
  test.each(strangers)('[R4] [R5] %s is refused', async (_, change, code) => {
    const sites = new Sites();
    const { a, c } = await sites.paired();
    const before = c.set.feed.position;
    const channel = await greet(sites, change(helloOf(a)));
    await sites.clock.run(() => channel.hasEnded);
    expect(stops(channel)).toMatchObject({ code });
    expect(c.status().pair?.sources).toEqual([]);
    expect(c.set.feed.position).toEqual(before);
  });

  test('[R5] a secondary of another identity is not sent to', async () => {
    const sites = new Sites();
    const { a } = await sites.paired();
    await sites.write(A, write(0, 0, 4096, 1));
    const [mine, theirs] = memoryStreamPair(sites.clock, a.set.environment.random);
    const other = new FrameChannel(theirs);
    other.listen({
      frame: ({ type }) => {
        // Another set answers at the address, and claims to have all that this one has.
        const { epochs } = a.set.cursors(false);
        const claimed = epochs.map(({ epoch, id, durable }) => {
          const chain = a.set.ownRun()?.chain;
          return { epoch, id, next: durable + 1, chain, durable, sealed: false };
        });
        const identity = { setId: '96'.repeat(16), name: 'nagoya', bootId: '', usable: true };
        if (type !== 'hello') return;
        other.post('welcome', [encodeJson({ ...identity, epochs: claimed, copy: null })]);
      },
      ended: () => undefined,
    });
    await sites.flush(A);
    const error = await sites.refusal(sender(a, mine, 1).run());
    expect(error).toMatchObject({ code: 'E_SPLIT_BRAIN' });
    expect(error.message).toMatch(/is not the secondary/);
  });

  test.each([
    [
      'a range outside of a copy',
      'range',
      [encodeRangeHead({ volume: 0, offset: 0, length: 4096, asOf: 1, hole: true })],
    ],
    ['an end of a copy that had not begun', 'copy-end', [encodeJson({ asOf: 1 })]],
    ['an end of a copy that says nothing', 'copy-end', [encodeJson({ asOf: 'soon' })]],
    ['records that are none', 'records', [Buffer.from('garbage, long enough to be looked at')]],
    ['a frame that only secondaries send', 'welcome', [encodeJson({})]],
    ['a copy that begins with no record', 'copy-begin', [Buffer.alloc(0)]],
  ] as const)('[R8] %s ends the link, and changes nothing', async (_, type, parts) => {
    const sites = new Sites();
    const { a, c } = await sites.paired();
    const channel = await greet(sites, helloOf(a));
    channel.post(type, parts);
    await sites.clock.run(() => channel.hasEnded);
    expect(stops(channel)).toMatchObject({ code: 'E_PROTOCOL' });
    expect(c.set.failure).toBeUndefined();
    expect(c.set.usable).toBe(true);
    await sites.write(A, write(0, 0, 4096, 1));
    await sites.replicate(A);
    expect(await sites.differs(C)).toBeUndefined();
  });
});

describe('a seal', () => {
  test('[R6] that is at the secondary but not durable yet is no split-brain', async () => {
    const sites = new Sites();
    const { a, c } = await sites.paired();
    await sites.create(B);
    await sites.write(A, write(0, 0, 4096, 1));
    await sites.replicate(A);
    sites.wrap = undefined;
    await sites.migrate(true);
    // The secondary's disk becomes slow just now.
    let sync: (() => void) | undefined;
    const { journal } = c.set;
    const real = journal.sync.bind(journal);
    journal.sync = () =>
      new Promise((resolve, reject) => {
        sync = () => void real().then(resolve, reject);
      });
    const first = sender(a, await sites.dial(A, C), 90);
    const ended = first.run().catch((error: { code: string }) => error.code);
    await sites.clock.run(() => c.set.journal.run(1)?.seal !== undefined);
    sites.cutLinks(A);
    expect(await sites.drive(ended)).toBe('E_UNREACHABLE');
    const second = sender(a, await sites.dial(A, C), 91);
    const finished = second.run();
    finished.catch(() => undefined);
    await sites.clock.pass(10);
    journal.sync = real;
    sync?.();
    await sites.drive(finished);
    expect(second.finished).toBe(true);
  });
});

function sender(node: StorageNode, stream: ByteStream, link: number): Sender {
  const channel = new FrameChannel(stream);
  const { set } = node;
  const run = set.ownRun();
  if (!run) throw new Error('a sender has an epoch');
  return new Sender({ set, run, channel, address: A, bootId: 'test', link });
}

/** What A's sender would say. */
function helloOf({ set }: StorageNode): Hello {
  const { file } = set;
  const run = set.ownRun();
  if (!run) throw new Error('a sender has an epoch');
  const { id, first, writer } = run.identity;
  return {
    purpose: 'replicate',
    setId: file.setId,
    groupId: file.groupId,
    name: file.name,
    address: A,
    bootId: 'test',
    link: 9,
    pairId: file.pair?.id ?? null,
    run: { epoch: run.epoch, id, writer, first, next: run.next, sealed: false },
    carrierSeal: null,
    parentSeal: null,
  };
}

const reasons = new WeakMap<FrameChannel, unknown>();

function stops(channel: FrameChannel): unknown {
  return reasons.get(channel);
}

/** Says hello to C as a test wants it; keeps why C ended the link. */
async function greet(sites: Sites, hello: Hello): Promise<FrameChannel> {
  const channel = new FrameChannel(await sites.dial('/test', C));
  const frames: Frame[] = [];
  channel.listen({
    frame: (frame) => void frames.push(frame),
    ended: (error) => void reasons.set(channel, error),
  });
  channel.post('hello', [encodeJson(hello)]);
  await sites.clock.run(() => channel.hasEnded || frames.length > 1);
  return channel;
}
