/** The dump of a map file: both slots of each page, and how many blocks the newest ones name. */
import { isZero, readUint64 } from '../base/bytes.ts';
import { checkChecksum, checkMagic, checkVersion, damage } from './dump.ts';
import { dumpFields, lineOf, note } from './dump.ts';
import type { ByteSource, DumpLine, Field, Remark } from './dump.ts';
import {
  MAP_KINDS,
  MAP_HEADER_BYTES,
  MAP_PAGE_BLOCKS,
  MAP_SLOT_BYTES,
  MAP_VERSION,
  decodeMapHead,
  decodeMapSlot,
  mapFileBytes,
  mapPages,
  mapSlotOffset,
} from './map.ts';
import type { MapHead, MapSlot } from './map.ts';

const CRC = 'CRC-32 of the slot';
const SUM = "sum of the pages' generations";

function slotFields(last: string): Field[] {
  return [
    [0, 4, 'magic', 'magic'],
    [4, 2, 'version', 'unsigned'],
    [6, 2, 'kind', 'unsigned'],
    [8, 4, CRC, 'hex'],
    [12, 4, 'page number', 'unsigned'],
    [16, 8, 'generation', 'unsigned'],
    [24, 8, last, 'unsigned'],
  ];
}

const PAGE_FIELDS = slotFields('save that wrote it');

const HEAD_FIELDS: readonly Field[] = [
  ...slotFields('number of blocks'),
  [32, 4, "stamp's epoch", 'unsigned'],
  [36, 4, 'zero', 'zeroes'],
  [40, 8, "stamp's number", 'unsigned'],
  [48, 8, SUM, 'unsigned'],
  [56, MAP_SLOT_BYTES - 56, 'zero', 'zeroes'],
];

/** What the head says, where there is one. */
interface Head {
  readonly saves: number;
  readonly blocks: number;
  readonly head: MapHead | undefined;
}

export function* dumpMap(source: ByteSource): Generator<DumpLine> {
  const newest = newestSlot(source, 0, Infinity);
  const head = newest && {
    saves: newest.generation,
    blocks: newest.blocks,
    head: decodeMapHead(newest.body),
  };
  const pagesThere = Math.ceil(source.sizeBytes / (2 * MAP_SLOT_BYTES));
  const pages = head ? Math.min(mapPages(head.blocks) + 1, pagesThere) : pagesThere;
  const sum = head ? sumOfGenerations(source, pages, head.saves) : 0;
  for (let page = 0; page < pages; page += 1) {
    const counts = page === 0 ? newest : newestSlot(source, page, head?.saves ?? Infinity);
    for (const slot of [0, 1]) yield* dumpSlot(source, page, slot, { head, counts, sum });
  }
  yield* dumpEnd(source, head);
}

function readSlot(source: ByteSource, page: number, slot: number): Buffer {
  return source.read(mapSlotOffset(page, slot), MAP_SLOT_BYTES);
}

/** The slot of a page that counts: the newest one of a save that was finished. */
function newestSlot(source: ByteSource, page: number, saves: number): MapSlot | undefined {
  let newest: MapSlot | undefined;
  for (const slot of [0, 1]) {
    const check = decodeMapSlot(readSlot(source, page, slot));
    if (check.found !== 'slot' || check.slot.page !== page) continue;
    if (page > 0 && check.slot.blocks > saves) continue;
    if (!newest || check.slot.generation > newest.generation) newest = check.slot;
  }
  return newest;
}

function sumOfGenerations(source: ByteSource, pages: number, saves: number): number {
  let sum = 0;
  for (let page = 1; page < pages; page += 1) {
    sum += newestSlot(source, page, saves)?.generation ?? 0;
  }
  return sum;
}

interface Around {
  readonly head: Head | undefined;
  readonly counts: MapSlot | undefined;
  readonly sum: number;
}

function* dumpSlot(
  source: ByteSource,
  page: number,
  slot: number,
  around: Around,
): Generator<DumpLine> {
  const at = mapSlotOffset(page, slot);
  const bytes = readSlot(source, page, slot);
  const prefix = page === 0 ? `head, slot ${slot}: ` : `page ${page}, slot ${slot}: `;
  if (bytes.length === MAP_SLOT_BYTES && isZero(bytes)) {
    const remark = around.counts ? note('never written') : damage('no slot of this page counts');
    yield lineOf(at, bytes, `${prefix}zeroes`, `${bytes.length} bytes`, remark);
    return;
  }
  const remarks = remarksOf(bytes, page, around);
  const unknown = remarks.get('version')?.damaged === true && remarks.get(CRC)?.damaged !== true;
  const all = page === 0 ? HEAD_FIELDS : PAGE_FIELDS;
  yield* dumpFields(bytes, at, unknown ? all.slice(0, 2) : all, remarks, prefix);
  if (unknown) {
    yield lineOf(at + 6, bytes.subarray(6), `${prefix}rest`, 'not decoded');
  } else if (page > 0 && bytes.length > MAP_HEADER_BYTES) {
    yield bitsLine(bytes, at, page, prefix, around.head);
  }
}

function bitsLine(
  bytes: Buffer,
  at: number,
  page: number,
  prefix: string,
  head: Head | undefined,
): DumpLine {
  const bits = bytes.subarray(MAP_HEADER_BYTES);
  const before = (page - 1) * MAP_PAGE_BLOCKS;
  const blocks = Math.min(MAP_PAGE_BLOCKS, (head?.blocks ?? Infinity) - before);
  const value = `${bitsSet(bits)} of ${blocks} blocks set`;
  const cut = bytes.length < MAP_SLOT_BYTES ? damage('the slot is cut off') : undefined;
  return lineOf(at + MAP_HEADER_BYTES, bits, `${prefix}bits`, value, cut);
}

function bitsSet(bytes: Buffer): number {
  let count = 0;
  for (const byte of bytes) {
    for (let rest = byte; rest > 0; rest &= rest - 1) count += 1;
  }
  return count;
}

function remarksOf(bytes: Buffer, page: number, around: Around): Map<string, Remark> {
  const remarks = new Map([['magic', checkMagic(bytes, 'RCMP')]]);
  if (bytes.length < MAP_HEADER_BYTES) return remarks;
  const kind = bytes.readUInt16LE(6);
  const whole = bytes.length === MAP_SLOT_BYTES;
  const number = bytes.readUInt32LE(12);
  remarks
    .set('version', checkVersion(bytes.readUInt16LE(4), MAP_VERSION))
    .set('kind', kindRemark(kind))
    .set(CRC, whole ? checkChecksum(bytes, 8) : damage('the slot is cut off'))
    .set('page number', number === page ? note('') : damage(`${page} expected`))
    .set('generation', note(useOf(bytes, around)));
  const stated = around.head?.head?.generations;
  const isNewest = page === 0 && readUint64(bytes, 16) === around.head?.saves;
  if (isNewest && stated !== undefined && stated !== around.sum) {
    remarks.set(SUM, damage(`the pages have ${around.sum}: one has lost its newest state`));
  }
  return remarks;
}

function kindRemark(number: number): Remark {
  const name = Object.entries(MAP_KINDS).find(([, known]) => known === number)?.[0];
  return name === undefined ? damage('unknown kind') : note(name);
}

function useOf(bytes: Buffer, { counts, head }: Around): string {
  const check = decodeMapSlot(bytes);
  if (check.found !== 'slot') return 'it is not valid';
  if (check.slot.generation === counts?.generation) return 'the newest valid slot: it counts';
  const unfinished = check.slot.page > 0 && check.slot.blocks > (head?.saves ?? Infinity);
  return unfinished ? 'of a save that was not finished' : 'it is older';
}

function* dumpEnd(source: ByteSource, head: Head | undefined): Generator<DumpLine> {
  if (!head) return;
  const whole = mapFileBytes(head.blocks);
  const { sizeBytes } = source;
  if (sizeBytes < whole) {
    const why = damage(`cut off: ${sizeBytes} of ${whole} bytes`);
    yield lineOf(sizeBytes, Buffer.alloc(0), 'end of the file', '', why);
  } else if (sizeBytes > whole) {
    const bytes = source.read(whole, 16);
    const why = damage('behind the last page');
    yield lineOf(whole, bytes, 'bytes', `${sizeBytes - whole} bytes`, why, sizeBytes - whole);
  }
}
