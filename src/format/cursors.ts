/**
 * The cursors file: how far everything has come. Two slots of 4096 bytes that are written in turn,
 * so that a torn write leaves the other one; the valid slot with the higher generation counts. The
 * last two writes of an orderly close say the same, `clean`: beside a clean slot one that is not
 * valid is damage. (Or the power failed in the very write of the second one, or of the next start's
 * first: nobody can tell that from damage, and both slots said the same then.)
 *
 *     offset size
 *          0    4  magic "RCCU"
 *          4    2  version, 1
 *          6    2  zero
 *          8    4  CRC-32 of the slot's used bytes (header and body) with this field as zero
 *         12    4  length of the body in bytes
 *         16    8  generation
 *         24    8  zero
 *         32       body: JSON in UTF-8, for the eye too: {@link Cursors}
 *
 * The rest of a slot is zero.
 */
import * as z from 'zod/mini';
import { asBuffer, isZero, readUint64, writeUint64 } from '../base/bytes.ts';
import { checksum } from '../base/checksum.ts';
import { RcopyError, messageOf } from '../base/errors.ts';
import { assert } from '../base/assert.ts';
import type { Finding } from '../base/finding.ts';
import type { EpochId, SetId } from '../base/ids.ts';

export const CURSOR_SLOT_BYTES = 4096;
export const CURSORS_VERSION = 1;
const HEADER_BYTES = 32;
const MAGIC = 0x55434352; // "RCCU"

const wholeNumber = z.number().check(z.int(), z.minimum(0));
const position = z.strictObject({ epoch: wholeNumber, sequence: wholeNumber });
const provenPosition = z.strictObject({
  epoch: wholeNumber,
  sequence: wholeNumber,
  chain: wholeNumber,
});

const epochCursor = z.strictObject({
  epoch: wholeNumber,
  id: z.custom<EpochId>((value) => typeof value === 'string'),
  writer: z.custom<SetId>((value) => typeof value === 'string'),
  /** Its first sequence number. */
  first: wholeNumber,
  /** The highest number known to be synced in this set's journal; the seal stands at N. */
  durable: wholeNumber,
  /** N of its seal, once that is durable here. */
  sealedAt: z.nullable(wholeNumber),
});

const copyCursor = z.strictObject({
  /** The place from which records go on; proves which copy this is. */
  base: provenPosition,
  /** Everything before this place has been copied and synced. */
  volume: wholeNumber,
  offset: wholeNumber,
  /** The greatest number as of which a range was read. */
  asOf: wholeNumber,
  /** All ranges have come. The set is usable when it has applied `asOf`. */
  complete: z.boolean(),
});

const cursors = z.strictObject({
  /** Everything up to here is synced in the images. */
  applied: provenPosition,
  epochs: z.array(epochCursor),
  /** What the secondary said it has, by its own durable word; null without a pair. */
  secondary: z.nullable(z.strictObject({ durable: position, restored: position })),
  /** Secondary only: whether image and journal are an exact prefix. */
  usable: z.boolean(),
  copy: z.nullable(copyCursor),
  /** The latest marks, oldest first. */
  marks: z.array(z.strictObject({ name: z.string(), epoch: wholeNumber, sequence: wholeNumber })),
  /** Closed in order: the journal ends exactly at the durable numbers. */
  clean: z.boolean(),
});

export type Cursors = z.infer<typeof cursors>;
export type EpochCursor = z.infer<typeof epochCursor>;
export type MarkCursor = Cursors['marks'][number];
export type CopyCursor = z.infer<typeof copyCursor>;

/** One slot with its padding. Refuses what could not be read again. */
export function encodeCursorSlot(generation: number, content: Cursors): Buffer {
  const body = Buffer.from(JSON.stringify(cursors.parse(content)), 'utf8');
  const used = HEADER_BYTES + body.length;
  assert(used <= CURSOR_SLOT_BYTES, `cursors of ${used} bytes fit their slot`);
  const slot = Buffer.alloc(CURSOR_SLOT_BYTES);
  slot.writeUInt32LE(MAGIC, 0);
  slot.writeUInt16LE(CURSORS_VERSION, 4);
  slot.writeUInt32LE(body.length, 12);
  writeUint64(slot, generation, 16);
  slot.set(body, HEADER_BYTES);
  slot.writeUInt32LE(checksum(slot.subarray(0, used)), 8);
  return slot;
}

export type CursorSlotCheck =
  | { readonly found: 'cursors'; readonly generation: number; readonly cursors: Cursors }
  | { readonly found: 'unknown-version'; readonly version: number }
  | { readonly found: 'zeroes' }
  | { readonly found: 'garbage'; readonly reason: string };

/** Reads one slot. Never throws. */
export function decodeCursorSlot(bytes: Uint8Array): CursorSlotCheck {
  const slot = Buffer.from(asBuffer(bytes));
  if (isZero(slot)) return { found: 'zeroes' };
  if (slot.length < HEADER_BYTES) return { found: 'garbage', reason: 'the slot is cut off' };
  if (slot.readUInt32LE(0) !== MAGIC) return { found: 'garbage', reason: 'no cursor magic' };
  const used = HEADER_BYTES + slot.readUInt32LE(12);
  const generation = readUint64(slot, 16);
  if (used > slot.length || generation === undefined) {
    return { found: 'garbage', reason: 'a field is outside its range' };
  }
  const expected = slot.readUInt32LE(8);
  slot.writeUInt32LE(0, 8);
  if (checksum(slot.subarray(0, used)) !== expected) {
    return { found: 'garbage', reason: 'the checksum does not match' };
  }
  if (!isZero(slot.subarray(used))) {
    return { found: 'garbage', reason: 'the unused rest of the slot is not zero' };
  }
  const version = slot.readUInt16LE(4);
  if (version !== CURSORS_VERSION) return { found: 'unknown-version', version };
  try {
    const content = cursors.parse(JSON.parse(slot.subarray(HEADER_BYTES, used).toString('utf8')));
    return { found: 'cursors', generation, cursors: content };
  } catch (error) {
    return { found: 'garbage', reason: `it holds no cursors: ${oneLine(messageOf(error))}` };
  }
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ');
}

/** What both slots together say. */
export interface CursorsFile {
  readonly cursors: Cursors;
  readonly generation: number;
  /**
   * What is wrong with the other slot, when it is not simply older. Damage, when `cursors` is
   * clean; else a crash may have torn it.
   */
  readonly flaw: Finding | undefined;
}

/**
 * Chooses the slot that counts. One bad slot is what a crash in the middle of a write leaves; two
 * are damage. Throws `E_DAMAGED` or `E_VERSION`, naming `path`.
 */
export function chooseCursorSlot(path: string, first: Uint8Array, second: Uint8Array): CursorsFile {
  let best: { cursors: Cursors; generation: number } | undefined;
  let flaw: Finding | undefined;
  let unused: Finding | undefined;
  for (const [slot, bytes] of [first, second].entries()) {
    const offset = slot * CURSOR_SLOT_BYTES;
    const found = (problem: string): Finding => ({ file: path, offset, problem });
    const check = decodeCursorSlot(bytes);
    if (bytes.length < CURSOR_SLOT_BYTES) flaw = found(`slot ${slot} is cut off`);
    switch (check.found) {
      case 'cursors':
        if (!best || check.generation > best.generation) best = check;
        break;
      case 'unknown-version':
        throw new RcopyError('E_VERSION', `${path} has format version ${check.version}`, {
          hint: 'use the version of rcopy that wrote it, or a newer one',
        });
      case 'garbage':
        flaw = found(`slot ${slot} does not count: ${check.reason}`);
        break;
      case 'zeroes':
        unused = found(`slot ${slot} is empty`);
        break;
    }
  }
  if (best) {
    const { cursors: chosen, generation } = best;
    return { cursors: chosen, generation, flaw: flaw ?? (chosen.clean ? unused : undefined) };
  }
  const why = flaw?.problem ?? 'both are empty';
  throw new RcopyError('E_DAMAGED', `${path} at offset 0: neither slot is valid (${why})`, {
    hint: 'run `rcopy inspect` on the set; its data may be taken from its pair',
  });
}
