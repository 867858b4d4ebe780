/**
 * Payloads of the records that hold no host data.
 *
 *     open    16 epoch id · 16 writer's set id · u8 parent: 0 none, 1 seal, 2 takeover ·
 *             seal: u32 length, the whole seal record · takeover: u32 epoch, u64 k, u32 chain at k
 *     rebase  16 epoch id · 16 writer's set id · u64 the epoch's first number ·
 *             u32 epoch, u64 sequence, u32 chain from which records go on
 *     seal    16 epoch id · 16 group id · 16 set id · 16 successor's set id · 16 migration id ·
 *             text successor's address
 *     mark    its name in UTF-8
 *
 * A text is a u16 length in bytes and its UTF-8. The open record of a successor carries the whole
 * seal, so that whoever gets it can check the succession (R4) without asking anyone.
 */
import { ByteReader, ByteWriter } from '../base/bytes.ts';
import { RcopyError } from '../base/errors.ts';
import { idFromBytes, idToBytes } from '../base/ids.ts';
import type { EpochId, GroupId, MigrationId, SetId } from '../base/ids.ts';
import type { ProvenPosition } from '../base/position.ts';
import { decodeRecord } from './record.ts';
import type { WholeRecord } from './record.ts';

/** How an epoch came to be. */
export type Parent =
  | { readonly kind: 'none' }
  | { readonly kind: 'seal'; readonly seal: Buffer }
  | { readonly kind: 'takeover'; readonly at: ProvenPosition };

export interface OpenPayload {
  readonly epochId: EpochId;
  readonly writer: SetId;
  readonly parent: Parent;
}

export interface RebasePayload {
  readonly epochId: EpochId;
  readonly writer: SetId;
  readonly epochFirst: number;
  readonly base: ProvenPosition;
}

export interface SealPayload {
  readonly epochId: EpochId;
  readonly group: GroupId;
  readonly set: SetId;
  readonly successor: SetId;
  readonly migration: MigrationId;
  readonly successorAddress: string;
}

export function encodeOpen(open: OpenPayload): Buffer {
  const writer = new ByteWriter().bytes(idToBytes(open.epochId)).bytes(idToBytes(open.writer));
  switch (open.parent.kind) {
    case 'none':
      return writer.u8(0).finish();
    case 'seal':
      return writer.u8(1).u32(open.parent.seal.length).bytes(open.parent.seal).finish();
    case 'takeover': {
      const { epoch, sequence, chain } = open.parent.at;
      return writer.u8(2).u32(epoch).u64(sequence).u32(chain).finish();
    }
  }
}

export function decodeOpen(payload: Uint8Array): OpenPayload {
  const reader = new ByteReader(payload, 'the open record');
  const epochId = idFromBytes<'epoch'>(reader.bytes(16));
  const writer = idFromBytes<'set'>(reader.bytes(16));
  const parent = decodeParent(reader);
  reader.end();
  return { epochId, writer, parent };
}

function decodeParent(reader: ByteReader): Parent {
  const kind = reader.u8();
  if (kind === 0) return { kind: 'none' };
  if (kind === 1) return { kind: 'seal', seal: Buffer.from(reader.bytes(reader.u32())) };
  if (kind === 2) {
    return {
      kind: 'takeover',
      at: { epoch: reader.u32(), sequence: reader.u64(), chain: reader.u32() },
    };
  }
  throw new RcopyError('E_DAMAGED', `the open record names an unknown parent kind ${kind}`);
}

export function encodeRebase(rebase: RebasePayload): Buffer {
  return new ByteWriter()
    .bytes(idToBytes(rebase.epochId))
    .bytes(idToBytes(rebase.writer))
    .u64(rebase.epochFirst)
    .u32(rebase.base.epoch)
    .u64(rebase.base.sequence)
    .u32(rebase.base.chain)
    .finish();
}

export function decodeRebase(payload: Uint8Array): RebasePayload {
  const reader = new ByteReader(payload, 'the rebase record');
  const rebase: RebasePayload = {
    epochId: idFromBytes<'epoch'>(reader.bytes(16)),
    writer: idFromBytes<'set'>(reader.bytes(16)),
    epochFirst: reader.u64(),
    base: { epoch: reader.u32(), sequence: reader.u64(), chain: reader.u32() },
  };
  reader.end();
  return rebase;
}

export function encodeSeal(seal: SealPayload): Buffer {
  return new ByteWriter()
    .bytes(idToBytes(seal.epochId))
    .bytes(idToBytes(seal.group))
    .bytes(idToBytes(seal.set))
    .bytes(idToBytes(seal.successor))
    .bytes(idToBytes(seal.migration))
    .text(seal.successorAddress)
    .finish();
}

export function decodeSeal(payload: Uint8Array): SealPayload {
  const reader = new ByteReader(payload, 'the seal record');
  const seal: SealPayload = {
    epochId: idFromBytes<'epoch'>(reader.bytes(16)),
    group: idFromBytes<'group'>(reader.bytes(16)),
    set: idFromBytes<'set'>(reader.bytes(16)),
    successor: idFromBytes<'set'>(reader.bytes(16)),
    migration: idFromBytes<'migration'>(reader.bytes(16)),
    successorAddress: reader.text(),
  };
  reader.end();
  return seal;
}

/** A seal as it travels: the whole record, checked. Throws `E_DAMAGED`. */
export function decodeSealRecord(bytes: Buffer): { record: WholeRecord; seal: SealPayload } {
  const check = decodeRecord(bytes, 0);
  if (check.found !== 'record') {
    const reason = 'reason' in check ? check.reason : check.found;
    throw new RcopyError('E_DAMAGED', `the seal is damaged: ${reason}`);
  }
  if (check.record.header.kind !== 'seal' || check.record.bytes.length !== bytes.length) {
    throw new RcopyError('E_DAMAGED', 'what should be a seal is another record');
  }
  return { record: check.record, seal: decodeSeal(check.record.payload) };
}
