/**
 * A mutation fuzzer of NBD streams: valid sessions, damaged in a few places, sent in pieces to a
 * server with several such clients at once and an honest one among them. Whatever comes: nothing is
 * thrown, the memory budget holds, the device holds exactly what well-formed requests said, and
 * what was asked in order is answered once. Everything follows from the seed.
 */
import { messageOf } from '../../src/base/errors.ts';
import { KIB, MIB, TIB } from '../../src/base/limits.ts';
import type { Completion, Device, DeviceRequest } from '../../src/device/device.ts';
import type { Random } from '../../src/sys/random.ts';
import { seededRandom } from '../sim/random.ts';
import { HeldDevice } from '../support/held-device.ts';
import { describeRequest } from '../support/memory-device.ts';
import { pattern } from '../support/image-sets.ts';
import { CMD, NbdWorld, STRUCTURED, go, metaContext, option, wire } from '../support/nbd-hand.ts';
import { request } from '../support/nbd-hand.ts';
import type { HandClient } from '../support/nbd-hand.ts';
import { expectedOf } from './fuzz-model.ts';
import type { Expected } from './fuzz-model.ts';

const SIZE = 64 * KIB;

export interface FuzzCounts {
  streams: number;
  mutations: number;
  /** Streams that got as far as requests. */
  entered: number;
  /** Requests that were answered, and those of them that were refused. */
  answered: number;
  refused: number;
  /** Streams that the server broke off. */
  broken: number;
}

/**
 * Runs `worlds` worlds of up to three damaged streams each, from `seed` on. Rejects with the seed
 * of the first that did harm.
 */
export async function fuzzNbd(seed: number, worlds: number): Promise<FuzzCounts> {
  const counts = { streams: 0, mutations: 0, entered: 0, answered: 0, refused: 0, broken: 0 };
  for (let at = seed; at < seed + worlds; at += 1) {
    try {
      fuzzWorld(at, counts);
    } catch (error) {
      throw new Error(`NBD streams with seed ${at}: ${messageOf(error)}`, { cause: error });
    }
  }
  return counts;
}

/** A message of a session; a mutation knows where it begins. */
type Messages = Buffer[];

/** One of `choices`. */
function pick<T>(random: Random, choices: readonly T[]): T {
  const choice = choices[random.below(choices.length)];
  if (choice === undefined) throw new Error('nothing to choose from');
  return choice;
}

function validSession(random: Random, name: string): Messages {
  const messages: Messages = [wire(random.below(10) === 0 ? random.below(3) : 3)];
  const options = [
    STRUCTURED,
    metaContext(name, ['base:allocation']),
    metaContext(name, [], 9),
    option(3),
    go(name, 6, [1, 2, 3]),
    go('elsewhere'),
    option(77, pattern(1, random.below(40))),
  ];
  if (random.below(3) > 0) messages.push(STRUCTURED, metaContext(name, ['base:allocation']));
  for (let left = random.below(4); left > 0; left -= 1) messages.push(pick(random, options));
  messages.push(pick(random, [go(name), go(name, 7, [3]), option(1, wire(name))]));
  for (let cookie = 1 + random.below(25); cookie > 0; cookie -= 1) {
    messages.push(validRequest(random, cookie));
  }
  if (random.below(3) === 0) messages.push(request(CMD.DISC, { cookie: 0 }));
  return messages;
}

function validRequest(random: Random, cookie: number): Buffer {
  const command = pick(random, [...Object.values(CMD), CMD.WRITE, CMD.WRITE, CMD.READ]);
  if (command === CMD.DISC || command === CMD.FLUSH) return request(CMD.FLUSH, { cookie });
  const offset = random.below(SIZE - 1);
  const longest = Math.min(SIZE - offset, pick(random, [600, 5000, SIZE]));
  const length = 1 + random.below(longest);
  const flags = random.below(4) === 0 ? 1 : 0;
  if (command !== CMD.WRITE) return request(command, { cookie, offset, length, flags });
  return request(command, { cookie, offset, flags, payload: pattern(random.below(250), length) });
}

const NUMBERS = [0, 1, 3, 27, 28, 0x7fff, 0xffff, SIZE, SIZE + 1, 0x2000000, 0x2000001];
const LARGE = [0x7fffffff, 0x80000000, 0xffffffff];

/** Damages `bytes` in one place, more likely one near the beginning of a message. */
function mutate(random: Random, bytes: Buffer, starts: readonly number[]): Buffer {
  const inHeader = random.below(10) < 7;
  const at = Math.min(
    bytes.length - 1,
    inHeader ? pick(random, starts) + random.below(28) : random.below(bytes.length),
  );
  const length = Math.min(bytes.length - at, 1 + random.below(pick(random, [4, 40, 4000])));
  const before = bytes.subarray(0, at);
  const after = bytes.subarray(at + length);
  switch (random.below(9)) {
    case 0: // some bits
      return Buffer.concat([before, wire([2, random.below(0x10000)]), bytes.subarray(at + 2)]);
    case 1:
    case 2: {
      const changed = Buffer.from(bytes);
      changed[at] = (bytes[at] ?? 0) ^ (1 << random.below(8));
      return changed;
    }
    case 3: // a number that means something
      return Buffer.concat([
        before,
        wire(pick(random, [...NUMBERS, ...LARGE])),
        bytes.subarray(at + 4),
      ]);
    case 4: // a message's field, exactly
      return numberInField(random, bytes, pick(random, starts));
    case 5: // something is missing
      return Buffer.concat([before, after]);
    case 6: // something is there twice
      return Buffer.concat([bytes.subarray(0, at + length), bytes.subarray(at)]);
    case 7: // something is put between
      return Buffer.concat([before, random.bytes(length), bytes.subarray(at)]);
    default: // it ends too early
      return random.below(3) === 0 ? Buffer.from(before) : Buffer.concat([before, after, before]);
  }
}

/** Puts a number into one of the fields that requests and options have. */
function numberInField(random: Random, bytes: Buffer, start: number): Buffer {
  const at = start + pick(random, [4, 6, 8, 12, 16, 20, 24]);
  const changed = Buffer.from(bytes);
  if (at + 4 <= bytes.length) changed.writeUInt32BE(pick(random, [...NUMBERS, ...LARGE]), at);
  return changed;
}

/** A device that no request outside of it, or of nothing, may reach. */
class StrictDevice extends HeldDevice {
  override perform(asked: DeviceRequest): Completion {
    const completion = super.perform(asked);
    if (!completion.ok) throw new Error(`the device was asked for ${describeRequest(asked)}`);
    return completion;
  }
}

/** A device without end, for clients that only want to hold memory. */
const ENDLESS: Device = {
  sizeBytes: 1 * TIB,
  readOnly: false,
  submit: (_asked, done) => done({ ok: false, error: new Error('never asked') }),
  nextExtent: (offset, end) => ({ offset, length: end - offset, data: true }),
};

interface Stream {
  readonly bytes: Buffer;
  readonly name: string;
  readonly device: HeldDevice;
  readonly expected: Expected;
  readonly client: HandClient;
}

/** One world of damaged streams. */
function fuzzWorld(seed: number, counts: FuzzCounts): void {
  const random = seededRandom(seed);
  const devices: Record<string, HeldDevice> = { honest: new StrictDevice(SIZE) };
  const names = ['db', 'log', 'tmp'].slice(0, 1 + random.below(3));
  for (const name of names) {
    const device = new StrictDevice(SIZE);
    device.readOnly = random.below(12) === 0;
    device.holds = random.below(2) === 0;
    devices[name] = device;
  }
  const exports = Object.entries<Device>({ ...devices, endless: ENDLESS }).map(
    ([name, device]) => ({
      name,
      description: 'a device',
      device,
    }),
  );
  const world = new NbdWorld(devices, {
    // No default export: each client has a device of its own.
    exports: {
      list: () => exports,
      find: (asked) => exports.find(({ name }) => name === asked),
    },
    seed,
    chunkBytesMax: pick(random, [20, 100, 1000, 5000, 64 * KIB]),
    highWaterBytes: pick(random, [100, 64 * KIB]),
    limits: { memoryBytes: pick(random, [0, 64 * KIB]), requestsInFlightMax: 1 + random.below(8) },
  });
  const honest = world.connect('honest').enter('honest');
  const hogs = random.below(3) === 0 ? [hog(world, random), hog(world, random)] : [];
  const streams = names.map((name) => damagedStream(world, random, name, devices, counts));
  const sent = streams.map(() => 0);
  const { limitBytes } = world.server.usage().memory;
  while (streams.some(({ bytes }, index) => (sent[index] ?? 0) < bytes.length)) {
    const index = random.below(streams.length);
    const { bytes, client } = streams[index] as Stream;
    const from = sent[index] ?? 0;
    const piece = bytes.subarray(from, from + 1 + random.below(20_000));
    sent[index] = from + piece.length;
    client.send(piece);
    answerSome(random, streams);
    if (world.usedBytes > limitBytes) throw new Error(`${world.usedBytes} bytes are in use`);
  }
  settle(world, streams);
  checkHonest(honest, devices['honest'] as HeldDevice, world);
  for (const stream of streams) check(stream, counts);
  leaveAll(world, [honest, ...hogs, ...streams.map(({ client }) => client)]);
}

/** A client that takes nearly all memory for a payload that does not come. */
function hog(world: NbdWorld, random: Random): HandClient {
  const client = world.connect('hog').enter('endless');
  const length = 16 * MIB + random.below(16 * MIB);
  return client.send(request(CMD.WRITE, { cookie: 1, length }));
}

function damagedStream(
  world: NbdWorld,
  random: Random,
  name: string,
  devices: Readonly<Record<string, HeldDevice>>,
  counts: FuzzCounts,
): Stream {
  const messages = validSession(random, name);
  const starts: number[] = [];
  let length = 0;
  for (const message of messages) {
    starts.push(length);
    length += message.length;
  }
  let bytes: Buffer = Buffer.concat(messages);
  const mutations = random.below(4);
  for (let done = 0; done < mutations && bytes.length > 0; done += 1) {
    bytes = mutate(random, bytes, starts);
  }
  counts.streams += 1;
  counts.mutations += mutations;
  const device = devices[name] as HeldDevice;
  const expected = expectedOf(bytes, name, SIZE, device.readOnly);
  return { bytes, name, device, expected, client: world.connect(name) };
}

/** Devices answer in any order. */
function answerSome(random: Random, streams: readonly Stream[]): void {
  for (const { device } of streams) {
    while (device.held.length > 0 && random.below(3) > 0)
      device.answer(random.below(device.held.length));
  }
}

/** Lets everything come to its end, long waits included. */
function settle(world: NbdWorld, streams: readonly Stream[]): void {
  for (let rounds = 0; rounds < 200; rounds += 1) {
    world.clock.advance(0);
    const held = streams.filter(({ device }) => device.held.length > 0);
    if (held.length === 0 && world.server.usage().memory.waiting === 0) break;
    for (const { device } of held) device.answerAll();
    // Who holds memory with half a payload makes way for those who wait.
    if (held.length === 0) world.clock.advance(1000);
  }
  world.clock.advance(0);
}

function checkHonest(client: HandClient, device: HeldDevice, world: NbdWorld): void {
  device.holds = false;
  const payload = pattern(9, 3000);
  const wrote = client.ask(CMD.WRITE, { cookie: 1, offset: 100, payload });
  const read = client.ask(CMD.READ, { cookie: 2, offset: 100, length: 3000 });
  if (wrote.errno !== 0 || !read.data.equals(payload)) throw new Error('an honest client suffers');
  if (world.server.usage().memory.waiting > 0) throw new Error('somebody waits for ever');
}

/** Whether the device holds what it must, and every request has its answer. */
function check({ device, expected, client }: Stream, counts: FuzzCounts): void {
  const differs = device.content.findIndex((byte, index) => byte !== expected.content[index]);
  if (differs >= 0) throw new Error(`the device differs from the model at ${differs}`);
  counts.entered += expected.entered ? 1 : 0;
  counts.broken += expected.end === 'broken' ? 1 : 0;
  const ended = { broken: 'an error', disconnected: 'null', none: 'undefined' }[expected.end];
  const found = client.ended instanceof Error ? 'an error' : String(client.ended);
  // Who stops in the midst of something may have been dropped for those who waited.
  const dropped = expected.end === 'none' && found === 'an error';
  if (found !== ended && !dropped) throw new Error(`it ended with ${found}, not with ${ended}`);
  if (!expected.entered || isAmbiguous(expected)) return;
  const owed = expected.owed.map(({ cookie, errno }) => `${cookie} ${errno}`);
  const answers = answersOf(client, expected);
  counts.answered += answers.length;
  counts.refused += answers.filter((answer) => !answer.endsWith(' 0')).length;
  for (const answer of answers) {
    const index = owed.indexOf(answer);
    if (index === -1) throw new Error(`an answer ${answer} that nobody asked for`);
    owed.splice(index, 1);
  }
  // Of a stream that was cut off some answers may be lost on their way.
  if (owed.length > 0 && found !== 'an error') throw new Error(`no answers: ${owed.join(', ')}`);
}

/**
 * Without chunks only the cookie tells whether a reply has data: where damage gave a read the
 * cookie of another request, and answers come in any order, nobody can take them apart.
 */
function isAmbiguous({ structured, owed, reads }: Expected): boolean {
  const uses = (cookie: bigint) => owed.filter((reply) => reply.cookie === cookie).length;
  return !structured && Array.from(reads.keys()).some((cookie) => uses(cookie) > 1);
}

/** Replies to requests as `cookie errno`, behind the handshake's; stops at one that is cut off. */
function answersOf(client: HandClient, expected: Expected): string[] {
  const bytes = client.received;
  const answers: string[] = [];
  const reads = new Map([...expected.reads].map(([cookie, lengths]) => [cookie, [...lengths]]));
  for (let at = transmissionStart(bytes, expected); at + 16 <= bytes.length;) {
    const magic = bytes.readUInt32BE(at);
    if (magic === 0x67446698) {
      const errno = bytes.readUInt32BE(at + 4);
      const cookie = bytes.readBigUInt64BE(at + 8);
      const data = errno === 0 && !expected.structured ? (reads.get(cookie)?.shift() ?? 0) : 0;
      at += 16 + data;
      if (at <= bytes.length) answers.push(`${cookie} ${errno}`);
    } else if (magic === 0x668e33ef && expected.structured && at + 20 <= bytes.length) {
      const isError = bytes.readUInt16BE(at + 6) >= 0x8000;
      const end = at + 20 + bytes.readUInt32BE(at + 16);
      if (end > bytes.length) break;
      const errno = isError ? bytes.readUInt32BE(at + 20) : 0;
      answers.push(`${bytes.readBigUInt64BE(at + 8)} ${errno}`);
      at = end;
    } else if (at + 20 > bytes.length) {
      break;
    } else {
      throw new Error(`no reply: 0x${magic.toString(16)}`);
    }
  }
  return answers;
}

/** Where the replies to options end. */
function transmissionStart(bytes: Buffer, { exportName }: Expected): number {
  let at = 18;
  while (at + 20 <= bytes.length && bytes.readUInt32BE(at) === 0x0003e889) {
    at += 20 + bytes.readUInt32BE(at + 16);
  }
  return at + exportName;
}

function leaveAll(world: NbdWorld, clients: readonly HandClient[]): void {
  for (const client of clients) client.stream.destroy();
  world.clock.advance(20_000);
  const { memory, connections } = world.server.usage();
  if (memory.usedBytes > 0) throw new Error(`${memory.usedBytes} bytes were left behind`);
  if (connections.count > 0) throw new Error(`${connections.count} connections were left behind`);
}
