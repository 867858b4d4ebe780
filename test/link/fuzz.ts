/**
 * Malformed link streams: real sessions are recorded, broken in one of many ways and played to a
 * node, to the end that takes links as well as to the one that dials. Whatever comes, no set stops,
 * nothing grows without bound, and neither data nor cursors move in a way that the real peer would
 * not have moved them. A case is a function of its seed.
 */
import { KIB, LINK_HELLO_MS, MIB } from '../../src/base/limits.ts';
import { checksum } from '../../src/base/checksum.ts';
import { FRAME_HEADER_BYTES, FRAME_TYPES, encodeFrameHeader } from '../../src/link/frame.ts';
import type { FrameType } from '../../src/link/frame.ts';
import type { StorageNode } from '../../src/node/storage-node.ts';
import { memoryStreamPair } from '../../src/sys/memory-stream.ts';
import type { Random } from '../../src/sys/random.ts';
import type { ByteStream } from '../../src/sys/stream.ts';
import { seededRandom } from '../sim/random.ts';
import { difference, peekAll, write } from '../support/image-sets.ts';
import { A, C, Sites } from '../support/sites.ts';

/** Worlds are made alike, so that a session of one of them is a session of the others. */
const WORLD_SEED = 5;

/** What is played, and to whom. */
const PLAYS = [
  /** To C, as if A sent: the first copy, or records that C lacks. */
  'copy to C',
  'records to C',
  /** To A, as if somebody asked. */
  'calls to A',
  /** To A's sender, as if C answered. */
  'answers to a copy',
  'answers to records',
  /** To A's calls, as if C answered. */
  'answers to calls',
] as const;
type Play = (typeof PLAYS)[number];

interface RecordedFrame {
  readonly type: FrameType;
  readonly body: Buffer;
}

interface World {
  readonly sites: Sites;
  readonly a: StorageNode;
  readonly c: StorageNode;
}

/** A pair of which nothing was copied yet. */
async function joined(): Promise<World> {
  const sites = new Sites({ seed: WORLD_SEED });
  const a = await sites.create(A);
  const c = await sites.create(C);
  await sites.write(A, write(0, 0, 9000, 1), write(1, 4096, 6000, 2));
  await sites.flush(A);
  await sites.drive(a.createPair({ secondary: C }));
  return { sites, a, c };
}

/** A pair in step but for some records, which are durable at A. */
async function behind(): Promise<World> {
  const world = await joined();
  await world.sites.replicate(A);
  for (let id = 3; id < 8; id += 1) await world.sites.write(A, write(0, id * 700, 5000, id));
  await world.sites.flush(A);
  return world;
}

const WORLDS: Readonly<Record<Play, () => Promise<World>>> = {
  'copy to C': joined,
  'records to C': behind,
  'calls to A': behind,
  'answers to a copy': joined,
  'answers to records': behind,
  'answers to calls': joined,
};

type Recorded = Readonly<Record<Play, readonly RecordedFrame[]>>;
let recorded: Promise<Recorded> | undefined;

/** What went each way on the next link of `work`. */
async function taped(world: World, work: () => Promise<unknown>): Promise<[Buffer, Buffer]> {
  const { sites } = world;
  const tapes: [Buffer[], Buffer[]] = [[], []];
  sites.wrap = (ends) => {
    for (const [index, end] of ends.entries()) {
      const send = end.write.bind(end);
      end.write = (parts) => {
        for (const part of parts) tapes[index === 0 ? 0 : 1].push(Buffer.from(part));
        return send(parts);
      };
    }
  };
  await sites.drive(work());
  sites.wrap = undefined;
  return [Buffer.concat(tapes[0]), Buffer.concat(tapes[1])];
}

function framesOf(tape: Buffer): RecordedFrame[] {
  const names = new Map<number, string>(
    Object.entries(FRAME_TYPES).map(([name, number]) => [number, name]),
  );
  const frames: RecordedFrame[] = [];
  for (let at = 0; at < tape.length;) {
    const length = tape.readUInt32LE(at + 12);
    const body = at + FRAME_HEADER_BYTES;
    const type = names.get(tape.readUInt8(at + 5)) as FrameType;
    frames.push({ type, body: tape.subarray(body, body + length) });
    at = body + length;
  }
  return frames;
}

async function record(): Promise<Recorded> {
  const first = await joined();
  const replicate = { timeoutMs: 60_000, maxRate: undefined };
  const copy = await taped(first, () => first.a.replicate(replicate));
  const second = await behind();
  const records = await taped(second, () => second.a.replicate(replicate));
  const third = await behind();
  await third.sites.replicate(A);
  const calls = await taped(third, () => third.a.verifyAgainst(C));
  const pairing = new Sites({ seed: WORLD_SEED });
  const [a, c] = [await pairing.create(A), await pairing.create(C)];
  const pair = await taped({ sites: pairing, a, c }, () => a.createPair({ secondary: C }));
  return {
    'copy to C': framesOf(copy[0]),
    'records to C': framesOf(records[0]),
    'calls to A': framesOf(Buffer.concat([calls[0], pair[0].subarray(helloBytes(pair[0]))])),
    'answers to a copy': framesOf(copy[1]),
    'answers to records': framesOf(records[1]),
    'answers to calls': framesOf(calls[1]),
  };
}

const helloBytes = (tape: Buffer) => FRAME_HEADER_BYTES + tape.readUInt32LE(12);

/** Numbers and words that programs trip over. */
const EVIL = [
  -1,
  0,
  0.5,
  1e308,
  2 ** 53,
  2 ** 32,
  '',
  '__proto__',
  'ff'.repeat(16),
  null,
  true,
  [],
  {},
  'x'.repeat(70 * KIB),
  Array.from({ length: 3000 }, () => ({ epoch: 1, durable: 1, sealed: false })),
];

/** Breaks a session. What a lying peer could say in order, as data, is not made up. */
class Breaker {
  private readonly random: Random;
  private readonly frames: RecordedFrame[];
  private readonly isCopy: boolean;

  constructor(random: Random, frames: readonly RecordedFrame[], play: Play) {
    this.random = random;
    this.frames = [...frames];
    this.isCopy = play === 'copy to C';
  }

  bytes(): Buffer {
    const times = 1 + this.random.below(3);
    if (this.random.below(2) === 0) {
      for (let time = 0; time < times; time += 1) this.breakFrames();
      return this.encode();
    }
    let bytes = this.encode();
    for (let time = 0; time < times; time += 1) bytes = this.breakBytes(bytes);
    return bytes;
  }

  private encode(): Buffer {
    return Buffer.concat(
      this.frames.flatMap(({ type, body }) => [encodeFrameHeader(type, [body]), body]),
    );
  }

  /** Whole frames, their checksums right. A copy's own frames stay as they are: they are data. */
  private breakFrames(): void {
    const { random, frames } = this;
    const at = random.below(frames.length);
    const frame = frames[at];
    if (!frame) return;
    const isData = this.isCopy && at > 0;
    switch (random.below(isData ? 2 : 7)) {
      case 0:
        frames.splice(at + 1); // it ends in the middle
        break;
      case 1:
        frames.splice(at, 0, {
          type: this.anyType(['hello', 'request', 'ping', 'welcome']),
          body: frame.body,
        });
        break;
      case 2:
        frames.splice(at, 1);
        break;
      case 3:
        frames.splice(at, 0, frame);
        break;
      case 4:
        frames[at] = {
          type: this.anyType(Object.keys(FRAME_TYPES) as FrameType[]),
          body: frame.body,
        };
        break;
      case 5:
        frames[at] = { type: frame.type, body: this.breakBytes(frame.body) };
        break;
      default:
        frames[at] = { type: frame.type, body: this.breakJson(frame.body) };
    }
  }

  private anyType(types: readonly FrameType[]): FrameType {
    return types[this.random.below(types.length)] ?? 'ping';
  }

  private breakJson(body: Buffer): Buffer {
    try {
      const value: unknown = JSON.parse(body.toString('utf8'));
      return Buffer.from(JSON.stringify(this.breakValue(value, 0)));
    } catch {
      return this.breakBytes(body);
    }
  }

  /** The value with one of its members, or itself, become something else. */
  private breakValue(value: unknown, depth: number): unknown {
    const { random } = this;
    const keys = typeof value === 'object' && value !== null ? Object.keys(value) : [];
    const key = keys[random.below(Math.max(1, keys.length))];
    if (key === undefined || (depth > 0 && random.below(4) === 0)) {
      return EVIL[random.below(EVIL.length)];
    }
    const copy = structuredClone(value) as Record<string, unknown>;
    if (random.below(6) === 0) delete copy[key];
    else copy[key] = this.breakValue(copy[key], depth + 1);
    return copy;
  }

  private breakBytes(bytes: Buffer): Buffer {
    const { random } = this;
    const at = random.below(Math.max(1, bytes.length));
    const length = 1 + random.below(40);
    switch (random.below(7)) {
      case 0: {
        const flipped = Buffer.from(bytes);
        if (at < flipped.length)
          flipped.writeUInt8(flipped.readUInt8(at) ^ (1 << random.below(8)), at);
        return flipped;
      }
      case 1:
        return bytes.subarray(0, at);
      case 2:
        return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
      case 3:
        return Buffer.concat([bytes.subarray(0, at), random.bytes(length), bytes.subarray(at)]);
      case 4:
        return Buffer.concat([bytes.subarray(0, at + length), bytes.subarray(at)]);
      case 5:
        return Buffer.concat([bytes.subarray(0, at), this.hugeFrame()]);
      default: {
        const filled = Buffer.from(bytes);
        const to = Math.min(filled.length, at + length);
        filled.fill([0, 0xff][random.below(2)] ?? 0, at, to);
        return filled;
      }
    }
  }

  /** A header that promises more than there is, or than there may be. */
  private hugeFrame(): Buffer {
    const type = this.anyType(Object.keys(FRAME_TYPES) as FrameType[]);
    const header = encodeFrameHeader(type, []);
    header.writeUInt32LE([4 * MIB, 4 * MIB + 1, 0xffff_ffff][this.random.below(3)] ?? 0, 12);
    header.writeUInt32LE(0, 8);
    header.writeUInt32LE(checksum(header), 8);
    return Buffer.concat([header, this.random.bytes(this.random.below(70_000))]);
  }
}

/** What a case came to: for the count of what was reached. */
export interface FuzzCounts {
  cases: number;
  /** The node ended the link. */
  ended: number;
  /** The node took the session, or its beginning, for a real one. */
  taken: number;
}

/**
 * Plays `count` broken sessions from `seed` on. Rejects with the seed of the first that did harm.
 */
export async function fuzzLink(seed: number, count: number): Promise<FuzzCounts> {
  recorded ??= record();
  const frames = await recorded;
  const counts: FuzzCounts = { cases: 0, ended: 0, taken: 0 };
  const strays: unknown[] = [];
  const stray = (error: unknown) => strays.push(error);
  process.on('unhandledRejection', stray);
  try {
    for (let at = seed; at < seed + count; at += 1) {
      try {
        await fuzzOne(at, frames, counts);
        if (strays.length > 0) throw strays[0];
      } catch (error) {
        throw new Error(`link stream with seed ${at}: ${String(error)}`, { cause: error });
      }
    }
  } finally {
    process.off('unhandledRejection', stray);
  }
  return counts;
}

async function fuzzOne(seed: number, recordedFrames: Recorded, counts: FuzzCounts): Promise<void> {
  const random = seededRandom(seed);
  const play = PLAYS[random.below(PLAYS.length)] ?? 'copy to C';
  const bytes = new Breaker(random, recordedFrames[play], play).bytes();
  const world = await WORLDS[play]();
  const before = look(world);
  const player = new Player(world.sites, bytes, random);
  switch (play) {
    case 'copy to C':
    case 'records to C':
      player.dial(world.c);
      break;
    case 'calls to A':
      player.dial(world.a);
      break;
    case 'answers to a copy':
    case 'answers to records':
      player.answer(world.a.replicate({ timeoutMs: 20_000, maxRate: undefined }));
      break;
    case 'answers to calls':
      player.answer(world.a.verifyAgainst(C));
  }
  await player.play();
  check(world, before, player);
  counts.cases += 1;
  if (player.ended) counts.ended += 1;
  if (world.c.set.newest > before.newestOfC || player.queued > 1000) counts.taken += 1;
  // Whatever it was, the real peer goes on from where it was, or from where it would have been.
  world.sites.wrap = undefined;
  const isAboutToLie = play.startsWith('answers') || play === 'calls to A';
  if (!isAboutToLie) await recover(world, play);
}

async function recover({ sites, a, c }: World, play: Play): Promise<void> {
  await sites.replicate(A);
  if (a.replication.counts.copiesBegun > 1) throw new Error(`[R6] copied anew after ${play}`);
  const different = difference(peekAll(c.set), sites.model.now);
  if (different !== undefined) throw new Error(`[R1] C at the end: ${different}`);
}

/** What no broken stream may change. */
function look({ a, c }: World) {
  return {
    durableOfA: a.set.ownRun()?.durable ?? 0,
    newestOfA: a.set.newest,
    newestOfC: c.set.newest,
    ids: [a, c].map(({ set }) => [set.file.setId, set.file.groupId, set.file.role].join()),
  };
}

function check(world: World, before: ReturnType<typeof look>, player: Player): void {
  const { sites, a, c } = world;
  for (const { set } of [a, c]) if (set.failure) throw set.failure;
  const now = look(world);
  if (now.newestOfA !== before.newestOfA) throw new Error('A has other numbers than before');
  if (now.ids.join() !== before.ids.join()) throw new Error('the sets are others than before');
  const ofA = difference(peekAll(a.set), sites.model.now);
  if (ofA !== undefined) throw new Error(`[R1] A: ${ofA}`);
  const durable = a.set.secondary?.durable.sequence ?? 0;
  if (durable > before.durableOfA) throw new Error(`A believes that C has ${durable}`);
  if ((c.set.ownRun()?.durable ?? 0) > before.durableOfA) throw new Error('[R3] C is ahead');
  if (c.set.usable) {
    const { sequence } = c.set.feed.position;
    const ofC = difference(peekAll(c.set), sites.model.after(sequence) ?? []);
    if (ofC !== undefined) throw new Error(`[R1] C at ${sequence}: ${ofC}`);
  }
  if (player.queued > 1.5 * MIB) throw new Error(`[R9] ${player.queued} bytes are queued`);
  for (const node of [a, c]) {
    const { waiting, calls } = node.linkUsage();
    if (waiting.count + calls.count > 0) throw new Error('[R9] something of it is left');
  }
}

/** One end of a link, in the hands of a broken peer. */
class Player {
  /** The node ended the link. */
  ended = false;
  /** Bytes that the node sent. */
  queued = 0;
  private readonly sites: Sites;
  private readonly bytes: Buffer;
  private readonly random: Random;
  private stream: ByteStream | undefined;
  private asking: Promise<unknown> | undefined;

  constructor(sites: Sites, bytes: Buffer, random: Random) {
    this.sites = sites;
    this.bytes = bytes;
    this.random = random;
  }

  /** Is taken by a node. */
  dial(node: StorageNode): void {
    const names = { names: ['node', 'broken'] as const };
    const [mine, theirs] = memoryStreamPair(this.sites.clock, this.random, names);
    this.take(mine);
    node.acceptLink(theirs);
  }

  /** Is dialled by what a node does, every time. */
  answer(work: Promise<unknown>): void {
    this.sites.wrap = (ends) => {
      const [, unused] = memoryStreamPair(this.sites.clock, this.random);
      this.take(ends[1]);
      ends[1] = unused;
      this.begin();
    };
    this.asking = work.catch(() => undefined);
  }

  async play(): Promise<void> {
    const { clock } = this.sites;
    if (!this.asking) this.begin();
    await clock.pass(LINK_HELLO_MS / 2);
    if (this.random.below(2) === 0) this.stream?.end();
    else this.stream?.destroy(new Error('the broken peer went away'));
    await clock.pass(LINK_HELLO_MS);
    if (this.asking) await this.sites.drive(this.asking);
  }

  private take(stream: ByteStream): void {
    this.stream = stream;
    stream.listen({
      data: (chunk) => {
        this.queued += chunk.length;
      },
      closed: () => {
        this.ended = true;
      },
      drained: () => undefined,
    });
  }

  private begin(): void {
    for (let at = 0; at < this.bytes.length;) {
      const length = 1 + this.random.below(20_000);
      this.stream?.write([this.bytes.subarray(at, at + length)]);
      at += length;
    }
  }
}
