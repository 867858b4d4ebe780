/**
 * For eyes: any one of rcopy's files, field by field. Only reads, piece by piece, takes no lock,
 * and goes on behind what is damaged.
 */
import { basename } from 'node:path';
import { RcopyError, fileError } from '../base/errors.ts';
import { CURSOR_SLOT_BYTES } from '../format/cursors.ts';
import { dumpCursors } from '../format/dump-cursors.ts';
import { dumpMap } from '../format/dump-map.ts';
import { dumpSegment } from '../format/dump-segment.ts';
import { PATHS_JSON, SET_JSON, dumpJsonFile } from '../format/dump-json-file.ts';
import { lineOf, note, printable } from '../format/dump.ts';
import type { ByteSource, DumpLine } from '../format/dump.ts';
import { MAP_SLOT_BYTES } from '../format/map.ts';
import type { Environment } from '../sys/environment.ts';
import type { FileHandle } from '../sys/files.ts';

export type DumpKind = 'segment' | 'cursors' | 'map' | 'set' | 'paths' | 'image';

/** What the file is, and its lines, which can be gone through once. */
export interface FileDump {
  /** Its whole path. */
  readonly file: string;
  readonly kind: DumpKind;
  readonly lines: Iterable<DumpLine>;
}

const ACTION = 'looking into a file';

const MAGICS = new Map<string, DumpKind>([
  ['RCSG', 'segment'],
  ['RCCU', 'cursors'],
  ['RCMP', 'map'],
]);

/** Where else than at the start a magic stands: in the second slot, when the first is damaged. */
const SECOND_SLOTS: readonly (readonly [kind: DumpKind, at: number])[] = [
  ['cursors', CURSOR_SLOT_BYTES],
  ['map', MAP_SLOT_BYTES],
];

const JSON_FILES = [
  ['set', SET_JSON],
  ['paths', PATHS_JSON],
] as const;

/** What files are called, for those that have lost their magic. */
const NAMES: readonly (readonly [name: RegExp, kind: DumpKind])[] = [
  [/^set\.json$/, 'set'],
  [/^paths\.json$/, 'paths'],
  [/^cursors$/, 'cursors'],
  [/\.rcj$/, 'segment'],
  [/\.(present|dirty)$/, 'map'],
];

/**
 * Gives `use` the dump of the file at `path`, from the first field that ends behind byte `from` on,
 * and closes the file again. Throws `E_NOT_FOUND`, `E_IO`, and `E_DAMAGED` for a file that is none
 * of rcopy's.
 */
export function inspectFile<T>(
  environment: Environment,
  path: string,
  from: number,
  use: (dump: FileDump) => T,
): T {
  const { files } = environment;
  const status = files.status(path, 'INSPECT:STATUS');
  if (status && status.kind !== 'file') {
    throw new RcopyError('E_NOT_FOUND', `${ACTION}: ${path} is not a file`, {
      hint: 'for an image set as a whole run `rcopy inspect SET`',
    });
  }
  const handle = attempt(path, () => files.open(path, 'read', 'INSPECT:OPEN'));
  try {
    const source = sourceOf(handle);
    const file = files.resolve(path);
    const kind = kindOf(source, file);
    return use({ file, kind, lines: linesFrom(dumpOf(kind, source), from) });
  } finally {
    handle.close();
  }
}

/** Says of what a file operation throws what it was for. */
function attempt<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw fileError(ACTION, path, error);
  }
}

function sourceOf(handle: FileHandle): ByteSource {
  const sizeBytes = handle.size('INSPECT:SIZE');
  return {
    sizeBytes,
    read: (position, length) => {
      const bytes = Buffer.alloc(Math.max(0, Math.min(length, sizeBytes - position)));
      const got = attempt(handle.path, () => handle.read(bytes, position, 'INSPECT:READ'));
      return bytes.subarray(0, got);
    },
  };
}

function kindOf(source: ByteSource, file: string): DumpKind {
  const name = basename(file);
  // Hosts write what they like into an image, also what looks like one of our files.
  if (name.endsWith('.img')) return 'image';
  const first = source.read(0, 64);
  const magic = MAGICS.get(first.toString('latin1', 0, 4));
  if (magic) return magic;
  for (const [kind, { format }] of JSON_FILES) {
    if (first.toString('latin1').startsWith(`{\n  "format": "${format}"`)) return kind;
  }
  for (const [kind, at] of SECOND_SLOTS) {
    if (MAGICS.get(source.read(at, 4).toString('latin1')) === kind) return kind;
  }
  const named = NAMES.find(([pattern]) => pattern.test(name));
  if (named) return named[1];
  throw new RcopyError('E_DAMAGED', `${file} at offset 0: ${unknownStart(first)}`, {
    hint: 'it can show journal segments, cursors, maps, set.json and paths.json',
  });
}

function unknownStart(bytes: Buffer): string {
  if (bytes.length === 0) return 'the file is empty';
  const start = bytes.subarray(0, 16);
  const text = printable(start.toString('latin1'));
  return `this is no file of rcopy: it begins with ${start.toString('hex')} ("${text}")`;
}

function dumpOf(kind: DumpKind, source: ByteSource): Iterable<DumpLine> {
  switch (kind) {
    case 'segment':
      return dumpSegment(source);
    case 'cursors':
      return dumpCursors(source);
    case 'map':
      return dumpMap(source);
    case 'set':
      return dumpJsonFile(source, SET_JSON);
    case 'paths':
      return dumpJsonFile(source, PATHS_JSON);
    case 'image': {
      const { sizeBytes } = source;
      const why = note('a raw image: the bytes of a volume, without any structure of rcopy');
      return [lineOf(0, source.read(0, 16), 'image', `${sizeBytes} bytes`, why, sizeBytes)];
    }
  }
}

function* linesFrom(lines: Iterable<DumpLine>, from: number): Generator<DumpLine> {
  for (const line of lines) {
    if (line.offset >= from || line.offset + line.length > from) yield line;
  }
}
