/**
 * The dump of set.json and paths.json: their lines as they stand, with the paths of their keys; the
 * checksum.
 */
import { checksum } from '../base/checksum.ts';
import { messageOf } from '../base/errors.ts';
import { checkVersion, compareChecksums, damage, lineOf, note, printable } from './dump.ts';
import type { ByteSource, DumpLine, Remark } from './dump.ts';
import { PATH_FILE_FORMAT, PATH_FILE_VERSION, decodePathFile } from './path-file.ts';
import { SET_FILE_FORMAT, SET_FILE_VERSION, decodeSetFile } from './set-file.ts';

/** What a file of JSON has to be. */
export interface JsonFileKind {
  readonly name: string;
  readonly format: string;
  readonly version: number;
  readonly decode: (path: string, bytes: Uint8Array) => unknown;
}

export const SET_JSON: JsonFileKind = {
  name: 'set.json',
  format: SET_FILE_FORMAT,
  version: SET_FILE_VERSION,
  decode: decodeSetFile,
};

export const PATHS_JSON: JsonFileKind = {
  name: 'paths.json',
  format: PATH_FILE_FORMAT,
  version: PATH_FILE_VERSION,
  decode: decodePathFile,
};

/** Far more than anybody needs: a larger file is not read further. */
const FILE_BYTES_MAX = 4 * 1024 * 1024;
const LINE = /^( *)(?:"([^"]*)": )?(.*?),?$/;
/** What is said of the file on its first line; no key is called so. */
const WHOLE = '';
const CHECKSUM = /"checksum": "([0-9a-f]{8})"\n}\n$/;

export function* dumpJsonFile(source: ByteSource, kind: JsonFileKind): Generator<DumpLine> {
  const bytes = source.read(0, FILE_BYTES_MAX);
  const remarks = remarksOf(bytes, kind);
  const keys: string[] = [];
  let at = 0;
  while (at < bytes.length) {
    const newline = bytes.indexOf(0x0a, at);
    const end = newline < 0 ? bytes.length : newline + 1;
    const part = bytes.subarray(at, end);
    const text = part.toString('utf8').replace(/\n$/, '');
    const [, indent = '', key, value = ''] = LINE.exec(text) ?? [undefined, '', undefined, text];
    const depth = Math.floor(indent.length / 2);
    const closes = /^[}\]]/.test(value);
    keys.length = Math.min(keys.length, closes ? depth + 1 : depth);
    if (!closes) keys[depth] = key ?? (depth === 0 ? kind.name : '[]');
    const field = printable(Array.from(keys.slice(depth === 0 ? 0 : 1), String).join('.'));
    yield lineOf(at, part, field, printable(value), remarkOf(part, at, field, remarks));
    at = end;
  }
  const rest = source.sizeBytes - bytes.length;
  if (rest <= 0) return;
  const why = damage(`too long for ${kind.name}`);
  yield lineOf(at, source.read(at, 16), 'bytes', `${rest} bytes`, why, rest);
}

function remarkOf(
  part: Buffer,
  at: number,
  field: string,
  remarks: ReadonlyMap<string, Remark>,
): Remark | undefined {
  if (at === 0) return remarks.get(WHOLE);
  if (field === WHOLE) return undefined;
  const isText = Buffer.from(part.toString('utf8'), 'utf8').equals(part);
  return isText ? remarks.get(field) : damage('is not UTF-8');
}

function remarksOf(bytes: Buffer, kind: JsonFileKind): Map<string, Remark> {
  const remarks = new Map<string, Remark>();
  const text = bytes.toString('latin1'); // one character a byte, whatever the bytes are
  const stated = CHECKSUM.exec(text);
  const whole = wholeRemark(bytes, kind);
  if (stated) {
    const zeroed = Buffer.from(bytes);
    zeroed.write('00000000', stated.index + '"checksum": "'.length, 'latin1');
    const remark = compareChecksums(Number.parseInt(stated[1] ?? '', 16), checksum(zeroed));
    remarks.set('checksum', remark);
  }
  if (whole) remarks.set(WHOLE, damage(whole));
  const version = /^ {2}"version": (\d+),$/m.exec(text)?.[1];
  if (version !== undefined) {
    remarks.set('version', checkVersion(Number(version), kind.version));
  }
  const isOurs = text.includes(`\n  "format": "${kind.format}",\n`);
  return remarks.set('format', isOurs ? note('') : damage(`"${kind.format}" expected`));
}

/** What is wrong with the file as a whole. */
function wholeRemark(bytes: Buffer, { decode, name }: JsonFileKind): string | undefined {
  try {
    decode(name, bytes);
    return undefined;
  } catch (error) {
    return printable(messageOf(error).replaceAll(/\s+/g, ' '));
  }
}
