/** What other sets can make a node hold (R9): links, calls, answers, words, records under way. */
import { describe, expect, test } from '@jest/globals';
import {
  KIB,
  LINEAGE_RECORDS_MAX,
  LINKS_ASKING_MAX,
  LINKS_WITHOUT_HELLO_MAX,
  LINK_CALLS_MAX,
  LINK_HELLO_MS,
  LINK_RECORDS_MAX,
  MIB,
  NODE_CALLS_MAX,
  journalSizesFor,
} from '../../src/base/limits.ts';
import { FrameChannel } from '../../src/link/channel.ts';
import { encodeFrameHeader } from '../../src/link/frame.ts';
import { encodeJson } from '../../src/link/messages.ts';
import type { Hello } from '../../src/link/messages.ts';
import type { StorageNode } from '../../src/node/storage-node.ts';
import { memoryStreamPair } from '../../src/sys/memory-stream.ts';
import { difference, peekAll, write } from '../support/image-sets.ts';
import { A, C, REPLICATE, Sites, performOn } from '../support/sites.ts';

const HELLO: Hello = {
  purpose: 'service',
  setId: '99'.repeat(16),
  groupId: '98'.repeat(16),
  name: 'asker',
  address: '/asker',
  bootId: '',
  link: 0,
  pairId: null,
  run: null,
  parentSeal: null,
  carrierSeal: null,
};

/** A stream to a node whose own end a test has in its hands. */
function raw(sites: Sites, node: StorageNode) {
  const [mine, theirs] = memoryStreamPair(sites.clock, sites.random, { names: ['it', 'asker'] });
  const state = { bytes: 0, queued: 0, closed: false };
  const send = theirs.write.bind(theirs);
  theirs.write = (parts) => {
    for (const part of parts) state.queued += part.length;
    return send(parts);
  };
  node.acceptLink(theirs);
  mine.listen({
    data: (chunk) => {
      state.bytes += chunk.length;
    },
    closed: () => {
      state.closed = true;
    },
    drained: () => undefined,
  });
  return { stream: mine, state };
}

const BIG = [{ name: 'data', sizeBytes: 8 * MIB }];

describe('[R9] links', () => {
  test('nobody is waited for who does not say hello; some more are refused', async () => {
    const sites = new Sites();
    const a = await sites.create(A);
    const silent = Array.from({ length: LINKS_WITHOUT_HELLO_MAX + 5 }, () => raw(sites, a));
    await sites.clock.pass(LINK_HELLO_MS - 100);
    expect(silent.filter(({ state }) => state.closed)).toHaveLength(5);
    expect(a.linkUsage().waiting.count).toBe(LINKS_WITHOUT_HELLO_MAX);
    // Whoever speaks is let in when there is room again.
    await sites.clock.pass(200);
    expect(silent.every(({ state }) => state.closed)).toBe(true);
    expect(a.linkUsage().waiting.count).toBe(0);
    const channel = await sites.asker(A);
    channel.post('hello', [encodeJson(HELLO)]);
    await sites.clock.pass(10);
    expect(a.linkUsage().asking.count).toBe(1);
  });

  test('that ask are bounded in number', async () => {
    const sites = new Sites();
    const a = await sites.create(A);
    const ends: string[] = [];
    for (let count = 0; count < LINKS_ASKING_MAX + 3; count += 1) {
      const channel = await sites.asker(A);
      channel.listen({ frame: () => undefined, ended: (error) => ends.push(error?.code ?? '') });
      channel.post('hello', [encodeJson(HELLO)]);
      await sites.clock.pass(1);
    }
    expect(ends).toEqual(['E_UNREACHABLE', 'E_UNREACHABLE', 'E_UNREACHABLE']);
    expect(a.linkUsage().asking.count).toBe(LINKS_ASKING_MAX);
  });
});

describe('[R9] calls', () => {
  /** Asks to read ever more, and reads nothing of it. */
  function greedy(sites: Sites, node: StorageNode, requests: number) {
    const { stream, state } = raw(sites, node);
    const channel = new FrameChannel(stream);
    channel.listen({ frame: () => undefined, ended: () => undefined });
    channel.post('hello', [encodeJson(HELLO)]);
    stream.pause();
    const from = { kind: 'source', migrationId: 'ab'.repeat(16) };
    for (let id = 1; id <= requests; id += 1) {
      const parameters = { volume: 0, offset: 0, length: 1 * MIB, from };
      channel.post('request', [encodeJson({ id, name: id % 2 ? 'facts' : 'digest', parameters })]);
    }
    return { stream, state };
  }

  test('whoever asks and never reads is read no more; others are served', async () => {
    const sites = new Sites({ volumes: BIG });
    const a = await sites.create(A);
    const { state, stream } = greedy(sites, a, 6000);
    await sites.clock.pass(60_000);
    // The stream takes 1 MiB before it says no; then as many answers as calls may be under way.
    expect(state.queued).toBeLessThan(1 * MIB + (LINK_CALLS_MAX + 1) * 8 * KIB);
    expect(a.linkUsage()).toMatchObject({ calls: { count: LINK_CALLS_MAX }, heldLinks: 1 });
    const c = await sites.create(C);
    await sites.drive(a.createPair({ secondary: C }));
    await sites.drive(a.replicate(REPLICATE));
    expect(c.set.usable).toBe(true);
    stream.resume();
    await sites.clock.pass(60_000);
    expect(a.linkUsage()).toMatchObject({ calls: { count: 0 }, heldLinks: 0 });
  });

  test('many such together are bounded, and gone when they are cut', async () => {
    const sites = new Sites({ volumes: BIG });
    const a = await sites.create(A);
    const all = Array.from({ length: 12 }, () => greedy(sites, a, 4000));
    await sites.clock.pass(60_000);
    const usage = a.linkUsage();
    expect(usage.calls.count).toBeGreaterThan(LINK_CALLS_MAX);
    expect(usage.calls.count).toBeLessThanOrEqual(NODE_CALLS_MAX + all.length);
    for (const { stream } of all) stream.destroy();
    await sites.clock.pass(1000);
    expect(a.linkUsage()).toMatchObject({
      asking: { count: 0 },
      calls: { count: 0 },
      heldLinks: 0,
    });
  });
});

describe('[R9] a sender that never reads', () => {
  test('does not make the secondary hold words for it', async () => {
    const sites = new Sites();
    const { a, c } = await sites.paired();
    await sites.write(A, write(0, 0, 9000, 1));
    let pauses = () => undefined as void;
    let queued = 0;
    sites.wrap = (ends) => {
      const [mine, theirs] = ends;
      pauses = () => mine.pause();
      const send = theirs.write.bind(theirs);
      theirs.write = (parts) => {
        for (const part of parts) queued += part.length;
        return send(parts);
      };
    };
    const letGo = a.replication.want();
    await sites.clock.run(() => a.replication.isUp);
    pauses();
    for (let times = 0; times < 400; times += 1) {
      await sites.write(A, write(0, 0, 10, times));
      await sites.flush(A);
    }
    await sites.clock.pass(1000);
    expect(c.set.newest).toBe(a.set.newest); // all came, and each move was worth a word
    expect(queued).toBeLessThan(1.1 * MIB);
    await sites.clock.pass(0);
    sites.cutLinks(A);
    await sites.drive(letGo());
  });
});

describe('[R5] records under way', () => {
  test('never more than the lineage can speak of: a split needs no new copy', async () => {
    const volumes = [{ name: 'data', sizeBytes: 1 * MIB }];
    const journal = {
      segmentBytes: 4 * MIB,
      segmentsMax: 4,
      recordPayloadBytesMax: 128 * KIB,
      requestBytesMax: 1 * MIB,
    };
    const sites = new Sites({ volumes, journal });
    const { a, c } = await sites.paired();
    const count = LINEAGE_RECORDS_MAX + 4000;
    const data = Buffer.alloc(16, 7);
    for (let id = 0; id < count; id += 1) {
      const request = {
        kind: 'write',
        offset: (id % 999) * 512,
        data: [data],
        length: 16,
      } as const;
      a.set.volumes[0]?.submit({ ...request, fua: false }, () => undefined);
    }
    await sites.flush(A);
    // C takes in all that comes, and A hears nothing of that.
    let deaf = false;
    sites.wrap = (ends) => {
      const [, theirs] = ends;
      const send = theirs.write.bind(theirs);
      theirs.write = (parts) => (deaf ? true : send(parts));
    };
    const letGo = a.replication.want();
    await sites.clock.run(() => a.replication.isUp);
    deaf = true;
    const before = a.set.secondary?.durable.sequence ?? 0;
    await sites.clock.pass(10_000);
    expect(c.set.newest - before).toBeGreaterThan(1000);
    expect(c.set.newest - before).toBeLessThanOrEqual(LINK_RECORDS_MAX);
    sites.cutLinks(A);
    await sites.drive(letGo());
    sites.wrap = undefined;
    await sites.drive(a.splitPair());
    const stood = c.set.newest;
    for (let id = 0; id < 200; id += 1)
      await sites.drive(performOn(a.set, write(0, 0, 99_000, id)));
    await sites.drive(a.set.drain());
    expect(a.set.ownRun()?.firstKept).toBeGreaterThan(stood); // only the lineage knows of it
    await sites.drive(a.resyncPair());
    await sites.drive(a.replicate(REPLICATE));
    expect(a.replication.counts.copiesBegun).toBe(1); // the first one
    await sites.replicate(A);
    expect(difference(peekAll(c.set), peekAll(a.set))).toBeUndefined();
  });

  test('all of them go through, a window behind the other', async () => {
    const volumes = [{ name: 'data', sizeBytes: 1 * MIB }];
    const sites = new Sites({ volumes, journal: journalSizesFor(256 * MIB) });
    const { a, c } = await sites.paired();
    const data = Buffer.alloc(16, 7);
    for (let id = 0; id < 3 * LINK_RECORDS_MAX; id += 1) {
      const request = {
        kind: 'write',
        offset: (id % 999) * 512,
        data: [data],
        length: 16,
      } as const;
      a.set.volumes[0]?.submit({ ...request, fua: false }, () => undefined);
    }
    const answer = await sites.drive(a.replicate(REPLICATE));
    expect(answer.sentRecords).toBe(3 * LINK_RECORDS_MAX);
    expect(difference(peekAll(c.set), peekAll(a.set))).toBeUndefined();
  });
});

describe('[R7] a word that cannot be true', () => {
  const LIES: readonly (readonly [string, object])[] = [
    ['a number that was never sent', { epochs: [{ epoch: 1, durable: 99_999, sealed: false }] }],
    ['a restored number that was never sent', { restored: { epoch: 1, sequence: 99_999 } }],
    ['more bytes than were sent', { consumedBytes: 2 ** 40 }],
  ];

  test.each(LIES)('%s ends the link, and nothing is trimmed for it', async (_, lie) => {
    const sites = new Sites();
    const { a } = await sites.paired();
    const before = a.set.secondary;
    let say = (_word: object) => undefined as void;
    sites.wrap = ([, theirs]) => {
      say = (word) => {
        const body = encodeJson(word);
        theirs.write([encodeFrameHeader('acknowledgement', [body]), body]);
      };
    };
    const letGo = a.replication.want();
    await sites.clock.run(() => a.replication.isUp);
    const durable = a.set.secondary?.durable ?? { epoch: 1, sequence: 0 };
    const truth = {
      epochs: [{ epoch: 1, durable: durable.sequence, sealed: false }],
      restored: durable,
      usable: true,
      copy: null,
      consumedBytes: 0,
    };
    say(truth);
    await sites.clock.pass(10);
    expect(a.replication.isUp).toBe(true);
    say({ ...truth, ...lie });
    await sites.clock.run(() => !a.replication.isUp);
    expect(a.replication.failure?.code).toBe('E_PROTOCOL');
    expect(a.set.secondary?.durable).toEqual(before?.durable);
    await sites.drive(letGo());
    sites.wrap = undefined;
    await sites.write(A, write(0, 0, 100, 3));
    await sites.replicate(A);
    await sites.closeAll();
  });
});
