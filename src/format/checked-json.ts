/**
 * Files of JSON that are replaced as a whole: text for the eye, with a checksum over their exact
 * bytes. The last field, `"checksum"`, holds the CRC-32, in eight hexadecimal digits, of the file
 * with those digits as zeroes.
 */
import * as z from 'zod/mini';
import { checksum } from '../base/checksum.ts';
import { RcopyError, messageOf } from '../base/errors.ts';
import { unknownVersion } from './segment.ts';

/** What a file has to be. */
export interface CheckedJsonKind<T> {
  /** Its fields of these names say what it is; a higher version is one that is not known here. */
  readonly format: string;
  readonly version: number;
  readonly schema: z.ZodMiniType<T>;
  /** As people call it. */
  readonly name: string;
}

const NO_CHECKSUM = '00000000';
const CHECKSUM_LINE = /("checksum": ")([0-9a-f]{8})("\n}\n)$/;

/** The exact text of a file with this content. */
export function encodeCheckedJson(content: object): Buffer {
  const whole = { ...content, checksum: NO_CHECKSUM };
  const text = `${JSON.stringify(whole, undefined, 2)}\n`;
  const sum = checksum(Buffer.from(text, 'utf8')).toString(16).padStart(8, '0');
  return Buffer.from(text.replace(CHECKSUM_LINE, `$1${sum}$3`), 'utf8');
}

/** Reads and checks a file. Throws `E_DAMAGED` or `E_VERSION`, naming `path`. */
export function decodeCheckedJson<T>(
  path: string,
  bytes: Uint8Array,
  { format, version, schema, name }: CheckedJsonKind<T>,
): T {
  const damaged = (reason: string): RcopyError =>
    new RcopyError('E_DAMAGED', `${path} at offset 0: ${reason}`, {
      hint: `${name} is never edited by hand; restore it, or take the data from the pair`,
    });
  const text = Buffer.from(bytes).toString('utf8');
  const stated = CHECKSUM_LINE.exec(text)?.[2];
  const parsed = objectIn(text, damaged);
  const { version: found } = parsed;
  if (parsed['format'] === format && typeof found === 'number' && found > version) {
    throw unknownVersion(path, found);
  }
  const zeroed = Buffer.from(text.replace(CHECKSUM_LINE, `$1${NO_CHECKSUM}$3`), 'utf8');
  if (stated === undefined || checksum(zeroed) !== Number.parseInt(stated, 16)) {
    throw damaged('its checksum does not match');
  }
  if (!Buffer.from(text, 'utf8').equals(Buffer.from(bytes))) throw damaged('it is not UTF-8');
  const { checksum: _, ...content } = parsed;
  const result = z.safeParse(schema, content);
  if (!result.success) throw damaged(z.prettifyError(result.error));
  return result.data;
}

function objectIn(text: string, damaged: (reason: string) => RcopyError): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch (error) {
    throw damaged(messageOf(error));
  }
  throw damaged('it is not a JSON object');
}
