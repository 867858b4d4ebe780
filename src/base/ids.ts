/**
 * Identifiers: 16 random bytes, written as 32 hexadecimal digits. The brands keep a set's id from
 * being passed where a group's is meant.
 */
import { RcopyError } from './errors.ts';

declare const brand: unique symbol;
type Id<Name extends string> = string & { readonly [brand]: Name };

/** One image set, for its life; a set that is given a new purpose gets a new one. */
export type SetId = Id<'set'>;
/** One consistency group: the same on every image set that holds a copy of it. */
export type GroupId = Id<'group'>;
/** One epoch; random, so that two reigns that began from the same place are never confused. */
export type EpochId = Id<'epoch'>;
/** One migration, from the first request to its end. */
export type MigrationId = Id<'migration'>;
/** One path controller, for its life: the hosts' way to image sets. */
export type ControllerId = Id<'controller'>;
/** One pair. */
export type PairId = Id<'pair'>;

export const ID_BYTES = 16;

/** A new identifier from 16 random bytes. */
export function idFromBytes<T extends string>(bytes: Uint8Array): Id<T> {
  if (bytes.length !== ID_BYTES) throw new RcopyError('E_INTERNAL', 'an id has 16 bytes');
  return Buffer.from(bytes).toString('hex') as Id<T>;
}

/** The 16 bytes of an identifier. Throws `E_DAMAGED` when it is not one. */
export function idToBytes(id: string): Uint8Array {
  if (!/^[0-9a-f]{32}$/.test(id)) {
    throw new RcopyError('E_DAMAGED', `${JSON.stringify(id)} is not an identifier`);
  }
  return Buffer.from(id, 'hex');
}

/** What people are shown of an identifier: its first eight digits. */
export function shortId(id: string): string {
  return id.slice(0, 8);
}
