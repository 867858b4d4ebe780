/**
 * A map file: one bit for each 4 KiB block of a volume, in pages with a checksum and two slots
 * each, written in turn. Page 0 is the head; page i + 1 holds bits i * 32512 up.
 *
 *     a slot, 4096 bytes:
 *     offset size
 *          0    4  magic "RCMP"
 *          4    2  version, 1
 *          6    2  kind: 1 presence, 2 dirty, 3 changed
 *          8    4  CRC-32 of the slot with this field as zero
 *         12    4  page number
 *         16    8  generation: how often this page was written; of the head, the number of saves
 *         24    8  head: number of blocks; page: the number of the save that wrote it
 *         32       head: u32 stamp's epoch, u32 zero, u64 stamp's sequence, u64 sum of the
 *                  generations of all pages; page: 4064 bytes of bits
 *
 * Page i's slots lie at 8192 * i and 8192 * i + 4096. The stamp says up to which position of the
 * history the map is complete; later bits come from the journal (R7).
 *
 * A save writes its pages, syncs, and writes the head: only then do they count. So a torn page is
 * one that does not count yet, and a page that decayed is seen (R8): either it has no slot left
 * that counts, or its older slot leaves the sum short. A map is written whole when it is made: no
 * page is empty for want of a slot.
 */
import { asBuffer, isZero, readUint64, writeUint64 } from '../base/bytes.ts';
import { checksum } from '../base/checksum.ts';
import type { Position } from '../base/position.ts';

export const MAP_SLOT_BYTES = 4096;
export const MAP_HEADER_BYTES = 32;
export const MAP_PAGE_BYTES = MAP_SLOT_BYTES - MAP_HEADER_BYTES;
export const MAP_PAGE_BLOCKS = MAP_PAGE_BYTES * 8;
export const MAP_VERSION = 1;
const MAGIC = 0x504d4352; // "RCMP"

export const MAP_KINDS = {
  /** Blocks of a migration target that are its own already. */
  presence: 1,
  /** Blocks that the secondary may lack. */
  dirty: 2,
  /** Blocks of a migration source that changed since they were copied ahead of the switch. */
  changed: 3,
} as const;
export type MapKind = keyof typeof MAP_KINDS;

const KIND_NAMES = new Map<number, MapKind>(
  Object.entries(MAP_KINDS).map(([name, number]) => [number, name as MapKind]),
);

/** How many bit pages a map of so many blocks has. */
export function mapPages(blocks: number): number {
  return Math.ceil(blocks / MAP_PAGE_BLOCKS);
}

/** Where a slot lies in the file; `page` counts from 0 = head. */
export function mapSlotOffset(page: number, slot: number): number {
  return (page * 2 + slot) * MAP_SLOT_BYTES;
}

/** The bytes of one map file when whole. */
export function mapFileBytes(blocks: number): number {
  return (mapPages(blocks) + 1) * 2 * MAP_SLOT_BYTES;
}

export interface MapSlot {
  readonly kind: MapKind;
  readonly page: number;
  readonly generation: number;
  /** Of the head: how many blocks the volume has. Of a page: the save that wrote it. */
  readonly blocks: number;
  /** What follows the header. */
  readonly body: Buffer;
}

export function encodeMapSlot(slot: Omit<MapSlot, 'body'>, body: Uint8Array): Buffer {
  const bytes = Buffer.alloc(MAP_SLOT_BYTES);
  bytes.writeUInt32LE(MAGIC, 0);
  bytes.writeUInt16LE(MAP_VERSION, 4);
  bytes.writeUInt16LE(MAP_KINDS[slot.kind], 6);
  bytes.writeUInt32LE(slot.page, 12);
  writeUint64(bytes, slot.generation, 16);
  writeUint64(bytes, slot.blocks, 24);
  bytes.set(body, MAP_HEADER_BYTES);
  bytes.writeUInt32LE(checksum(bytes), 8);
  return bytes;
}

/** What a head says beside the number of blocks. */
export interface MapHead {
  readonly stamp: Position;
  /** Sum of the generations of all pages as of this save. */
  readonly generations: number;
}

export function encodeMapHead(
  kind: MapKind,
  generation: number,
  blocks: number,
  { stamp, generations }: MapHead,
): Buffer {
  const body = Buffer.alloc(24);
  body.writeUInt32LE(stamp.epoch, 0);
  writeUint64(body, stamp.sequence, 8);
  writeUint64(body, generations, 16);
  return encodeMapSlot({ kind, page: 0, generation, blocks }, body);
}

/** What stands in a head's body; undefined when that cannot be. */
export function decodeMapHead(body: Buffer): MapHead | undefined {
  const sequence = readUint64(body, 8);
  const generations = readUint64(body, 16);
  if (sequence === undefined || generations === undefined) return undefined;
  return { stamp: { epoch: body.readUInt32LE(0), sequence }, generations };
}

export type MapSlotCheck =
  | { readonly found: 'slot'; readonly slot: MapSlot }
  | { readonly found: 'unknown-version'; readonly version: number }
  | { readonly found: 'zeroes' }
  | { readonly found: 'garbage'; readonly reason: string };

/** Reads one slot. Never throws. */
export function decodeMapSlot(bytes: Uint8Array): MapSlotCheck {
  const view = Buffer.from(asBuffer(bytes));
  if (isZero(view)) return { found: 'zeroes' };
  if (view.length !== MAP_SLOT_BYTES) return { found: 'garbage', reason: 'the slot is cut off' };
  if (view.readUInt32LE(0) !== MAGIC) return { found: 'garbage', reason: 'no map magic' };
  const expected = view.readUInt32LE(8);
  view.writeUInt32LE(0, 8);
  if (checksum(view) !== expected) {
    return { found: 'garbage', reason: 'the checksum does not match' };
  }
  const version = view.readUInt16LE(4);
  if (version !== MAP_VERSION) return { found: 'unknown-version', version };
  const kind = KIND_NAMES.get(view.readUInt16LE(6));
  const generation = readUint64(view, 16);
  const blocks = readUint64(view, 24);
  if (kind === undefined || generation === undefined || blocks === undefined) {
    return { found: 'garbage', reason: 'a field is outside its range' };
  }
  return {
    found: 'slot',
    slot: {
      kind,
      page: view.readUInt32LE(12),
      generation,
      blocks,
      body: view.subarray(MAP_HEADER_BYTES),
    },
  };
}
