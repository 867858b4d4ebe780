/**
 * Damage, one fault at a time: small sets that were closed in order, and every bit flip and every
 * truncation of their live bytes. Opening refuses the set, or `verify` finds the fault; and whoever
 * reads gets what hosts were told is written, or an error, never anything else.
 */
import { join } from 'node:path';
import { isRcopyError } from '../../src/base/errors.ts';
import { KIB } from '../../src/base/limits.ts';
import type { JournalSizes } from '../../src/base/limits.ts';
import { CURSOR_SLOT_BYTES } from '../../src/format/cursors.ts';
import { decodeRebase } from '../../src/format/control-records.ts';
import { decodeRecord } from '../../src/format/record.ts';
import { MAP_HEADER_BYTES, MAP_SLOT_BYTES, mapSlotOffset } from '../../src/format/map.ts';
import { SEGMENT_HEADER_BYTES, parseSegmentName } from '../../src/format/segment.ts';
import type { AbsentSource } from '../../src/imageset/contents.ts';
import type { ImageSet } from '../../src/imageset/image-set.ts';
import { setPaths } from '../../src/imageset/set-folder.ts';
import { ensureEpoch } from '../../src/imageset/succession.ts';
import { verifySet } from '../../src/node/verify.ts';
import type { SimulatedDisk } from '../sim/disk.ts';
import { difference, openSet, worldOn, write, zeroes } from '../support/image-sets.ts';
import { StillSource } from '../support/succession.ts';
import { A, B, C, MIGRATE, Sites } from '../support/sites.ts';

/** Segments of three or four records: a few requests go through several of them. */
const JOURNAL: JournalSizes = {
  segmentBytes: 2 * KIB,
  segmentsMax: 24,
  recordPayloadBytesMax: 512,
  requestBytesMax: 4 * KIB,
};

/** The first set that has maps, and the first of them. */
const MAPPED = 'a target that lacks blocks';
const FIRST_MAP = 'alpha.dirty';
/** Behind the header of a map's head slot: its stamp, and the sum of the generations. */
const MAP_HEAD_BYTES = 24;

/** The set that has nothing to do with the others. */
const ALONE = '/nagoya';

const VOLUMES = [
  { name: 'alpha', sizeBytes: 16 * KIB + 512 },
  { name: 'beta', sizeBytes: 8 * KIB },
];

/** A set that was closed in order, and what whoever opens it must read. */
export interface Sample {
  readonly name: string;
  readonly folder: string;
  readonly disk: SimulatedDisk;
  readonly contents: readonly Buffer[];
  readonly newest: number;
  /** Gives blocks that the set lacks. */
  readonly source: AbsentSource;
}

/** Live bytes of one file: from its start up to where nothing more counts. */
export interface LiveFile {
  readonly path: string;
  readonly bytes: number;
  /** Bytes that are checked to be zero, and that one file of its kind is enough to try. */
  readonly padding?: (byte: number) => boolean;
}

export type Fault =
  | { readonly kind: 'flip'; readonly path: string; readonly bit: number }
  | { readonly kind: 'truncation'; readonly path: string; readonly length: number };

/** The sets of a story: a pair whose secondary is behind, then a migration that has just begun. */
export async function makeSamples(): Promise<Sample[]> {
  const sites = new Sites({ volumes: VOLUMES, journal: JOURNAL });
  const { model } = sites;
  const alone = await sites.create(ALONE);
  await sites.drive(ensureEpoch(alone.set));
  const samples = [await closed(sites, ALONE, 'a primary without a pair or a record')];

  await sites.paired();
  await sites.write(A, write(0, 0, 1500, 1), write(1, 4000, 200, 2));
  await sites.replicate(A);
  await sites.write(A, zeroes(0, 700, 300), write(1, 0, 1400, 3), write(0, 5000, 1800, 4));
  samples.push(await closed(sites, C, 'a secondary that is behind'));
  await sites.write(A, { kind: 'mark', name: 'noon' }, write(0, 8192, 900, 5));
  samples.push(await closed(sites, A, 'a primary that owes its secondary several segments'));

  await sites.open(C);
  await sites.replicate(A);
  await sites.create(B);
  await sites.migrate(true);
  const moved = new StillSource(model.now);
  await sites.replicate(B);
  samples.push(await closed(sites, C, 'a secondary in an epoch without a record'));
  await sites.write(B, write(0, 4096, 4096, 6), write(0, 100, 30, 7), write(1, 4100, 3000, 8));
  samples.push(await closed(sites, A, 'a source that is sealed'));
  samples.push(await closed(sites, B, MAPPED, moved));
  // Nobody can give the rest of the block now: the record stays in the journal.
  await sites.open(B);
  await sites.write(B, write(0, 12_300, 40, 9));
  samples.push(await closed(sites, B, 'a target that could not apply all', moved));
  for (const folder of [A, B, C]) await sites.open(folder);
  await sites.replicate(B);
  samples.push(await closed(sites, C, 'a secondary that has followed to the target'));
  return [...samples, await splitSample(), await copiedAheadSample()];
}

async function splitSample(): Promise<Sample> {
  const sites = new Sites({ volumes: VOLUMES, journal: JOURNAL });
  const { a } = await sites.paired();
  await sites.write(A, write(0, 0, 1500, 1), write(1, 4000, 200, 2));
  await sites.drive(a.splitPair());
  await sites.write(A, write(0, 4096, 1800, 3), zeroes(1, 0, 700));
  return closed(sites, A, 'a primary whose pair is split');
}

async function copiedAheadSample(): Promise<Sample> {
  const sites = new Sites({ volumes: VOLUMES, journal: JOURNAL });
  const { a } = await sites.paired();
  await sites.write(A, write(0, 0, 1500, 1), write(1, 4000, 200, 2));
  const b = await sites.create(B);
  const started = b.migrate({ ...MIGRATE, copy: 'pre', maxRate: 1000 });
  started.catch(() => undefined);
  await sites.clock.run(() => a.set.file.maps.length > 0);
  await sites.write(A, write(0, 8192, 1800, 3), zeroes(1, 0, 700));
  sites.cutLinks(B);
  await sites.refusal(started);
  return closed(sites, A, 'a source that notes what changes');
}

async function closed(
  sites: Sites,
  folder: string,
  name: string,
  source: AbsentSource = new StillSource([]),
): Promise<Sample> {
  const { newest } = (await sites.open(folder)).set;
  await sites.close(folder);
  const { disk } = sites.machine(folder);
  return {
    name,
    folder,
    disk: disk.survivors('lose', 0),
    contents: folder === ALONE ? sites.model.after(0) : sites.model.after(newest),
    newest,
    source,
  };
}

/**
 * The files of a sample whose every byte counts, or counts up to some place. The unused rest of
 * cursor slots is only tried in the first sample, that of map slots in the first file that has any.
 */
export function liveFiles({ name: sampleName, disk, folder }: Sample): LiveFile[] {
  const all = (path: string, padding?: LiveFile['padding']): LiveFile => {
    const bytes = disk.readFile(path).length;
    return padding ? { path, bytes, padding } : { path, bytes };
  };
  const cursors = setPaths.cursors(folder);
  const journal = setPaths.journal(folder);
  const segments = disk.list(journal, 'TEST:LIST').filter((name) => parseSegmentName(name));
  const maps = disk.list(setPaths.maps(folder), 'TEST:LIST');
  return [
    all(join(folder, 'set.json')),
    all(cursors, folder === ALONE ? undefined : cursorPadding(disk.readFile(cursors))),
    ...segments.map((name) => {
      const path = join(journal, name);
      return { path, bytes: recordsEnd(Buffer.from(disk.readFile(path))) };
    }),
    ...maps.map((name) => {
      const isFirst = name === FIRST_MAP && sampleName === MAPPED;
      return all(setPaths.map(folder, name), isFirst ? undefined : mapPadding);
    }),
  ];
}

/** What lies behind a head, and behind the one byte of bits that maps of so few blocks have. */
function mapPadding(byte: number): boolean {
  const isHead = byte < mapSlotOffset(1, 0);
  return byte % MAP_SLOT_BYTES >= MAP_HEADER_BYTES + (isHead ? MAP_HEAD_BYTES : 1);
}

function cursorPadding(bytes: Uint8Array): (byte: number) => boolean {
  const file = Buffer.from(bytes);
  const used = [0, CURSOR_SLOT_BYTES].map((slot) => 32 + file.readUInt32LE(slot + 12));
  return (byte) => byte % CURSOR_SLOT_BYTES >= (used[Math.floor(byte / CURSOR_SLOT_BYTES)] ?? 0);
}

/** Where the records of a segment end: what an earlier use of the file left behind is dead. */
function recordsEnd(bytes: Buffer): number {
  let end = SEGMENT_HEADER_BYTES;
  let chain = bytes.readUInt32LE(24);
  for (;;) {
    const check = decodeRecord(bytes, end);
    if (check.found !== 'record') return end;
    const { header, payload } = check.record;
    if (header.chain !== chain) return end;
    chain = header.kind === 'rebase' ? decodeRebase(payload).base.chain : header.ownChain;
    end += check.record.bytes.length;
  }
}

/** Every bit flip and every truncation of a file. */
export function* faultsOf({ path, bytes, padding }: LiveFile): Generator<Fault> {
  for (let bit = 0; bit < bytes * 8; bit += 1) {
    if (!padding?.(bit >> 3)) yield { kind: 'flip', path, bit };
  }
  for (let length = 0; length < bytes; length += 1) yield { kind: 'truncation', path, length };
}

/**
 * Strikes a copy of the sample; says in words what was missed, if anything was. With `twice` it is
 * opened again: what the first opening put right must stay right.
 */
export async function strike(
  sample: Sample,
  fault: Fault,
  twice = false,
): Promise<string | undefined> {
  const disk = sample.disk.survivors('lose', 0);
  if (fault.kind === 'flip') disk.flipBit(fault.path, fault.bit >> 3, fault.bit & 7);
  else disk.truncate(fault.path, fault.length);
  const first = await look(sample, disk);
  if (!first.found) return first.wrong ?? 'nothing was found';
  return first.wrong ?? (twice ? (await look(sample, disk)).wrong : undefined);
}

interface Look {
  /** The set was refused, or `verify` has findings. */
  readonly found: boolean;
  /** What should not be, in words. */
  readonly wrong: string | undefined;
}

/** Opens the set as a user would, verifies it, reads everything, closes it. */
export async function look(sample: Sample, disk: SimulatedDisk): Promise<Look> {
  let set: ImageSet | undefined;
  try {
    set = await openSet(worldOn(disk), sample.folder);
    set.contents.source = sample.source;
    const { ok } = await verifySet(set);
    return { found: !ok, wrong: await misread(sample, set) };
  } catch (error) {
    if (!isRcopyError(error, 'E_DAMAGED') && !isRcopyError(error, 'E_VERSION')) {
      return { found: true, wrong: `refused with ${String(error)}` };
    }
    return { found: true, wrong: undefined };
  } finally {
    await set?.close().catch(() => undefined);
  }
}

/** What a host or a peer reads, where that is not what it must be. */
async function misread(sample: Sample, set: ImageSet): Promise<string | undefined> {
  if (set.newest !== sample.newest) return `it stands at ${set.newest}, not ${sample.newest}`;
  const found: Buffer[] = [];
  for (const [volume, { sizeBytes }] of VOLUMES.entries()) {
    found.push(await set.contents.read(volume, 0, sizeBytes));
  }
  return difference(found, sample.contents);
}
