/**
 * paths.json: what a path controller must not forget. Text for the eye, replaced as a whole, with
 * a checksum over its exact bytes, as set.json has it.
 */
import * as z from 'zod/mini';
import type { ControllerId, GroupId, MigrationId, SetId } from '../base/ids.ts';
import { decodeCheckedJson, encodeCheckedJson } from './checked-json.ts';

export const PATH_FILE_FORMAT = 'rcopy path controller';
export const PATH_FILE_VERSION = 1;

const whole = z.number().check(z.int(), z.minimum(0));
const hex = /^[0-9a-f]{32}$/;
const id = <T extends string>() =>
  z.custom<T>((value) => typeof value === 'string' && hex.test(value), 'not an identifier');
const peer = z.strictObject({ setId: id<SetId>(), name: z.string(), address: z.string() });

/** One volume that hosts see. */
const entry = z.strictObject({
  export: z.string(),
  volume: z.string(),
  /** As hosts were told; it never changes. */
  sizeBytes: whole,
});

/** The set behind some exports: they move together. */
const way = z.strictObject({
  set: peer,
  groupId: id<GroupId>(),
  /** Where its hosts may have to move: noted before the set can be sealed for it. */
  next: z.nullable(z.strictObject({ set: peer, migrationId: z.nullable(id<MigrationId>()) })),
  exports: z.array(entry),
});

const pathFile = z.strictObject({
  format: z.literal(PATH_FILE_FORMAT),
  version: z.literal(PATH_FILE_VERSION),
  controllerId: id<ControllerId>(),
  name: z.string(),
  /** How often it was started: streams of an earlier start are of a lower generation. */
  starts: whole,
  ways: z.array(way),
});

export type PathFile = z.infer<typeof pathFile>;
export type PathWay = z.infer<typeof way>;
export type PathEntry = z.infer<typeof entry>;

/** The file's exact text. Refuses what could not be read again. */
export function encodePathFile(content: PathFile): Buffer {
  return encodeCheckedJson(pathFile.parse(content));
}

/** Reads and checks paths.json. Throws `E_DAMAGED` or `E_VERSION`, naming `path`. */
export function decodePathFile(path: string, bytes: Uint8Array): PathFile {
  return decodeCheckedJson(path, bytes, {
    format: PATH_FILE_FORMAT,
    version: PATH_FILE_VERSION,
    schema: pathFile,
    name: 'paths.json',
  });
}
