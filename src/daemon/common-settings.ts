/**
 * What the settings of all daemons share: where they listen, what they log, what NBD clients may
 * cost; and how a setting is read, from a flag or from a TOML file.
 */
import { parse as parseToml } from 'smol-toml';
import * as z from 'zod/mini';
import { RcopyError, isRcopyError, messageOf } from '../base/errors.ts';
import { parseSize } from '../base/sizes.ts';
import { formatAddress, isAddress, parseAddress } from '../control/addresses.ts';
import type { DaemonAddress } from '../control/addresses.ts';
import { problemOf } from '../control/schema-problems.ts';
import { NBD_LIMITS } from '../nbd/server.ts';
import type { NbdLimits } from '../nbd/server.ts';
import { parseAddress as parseNetworkAddress } from '../sys/network.ts';
import type { NetworkAddress } from '../sys/network.ts';
import { LOG_FORMATS, LOG_LEVELS } from './words.ts';
import type { LogFormat, LogLevel } from './words.ts';

/** Of every daemon. */
export interface CommonSettings {
  readonly listen: DaemonAddress | undefined;
  /** `rcopy://HOST:PORT` by which others reach it; undefined: as it listens. */
  readonly advertise: string | undefined;
  readonly nbd: NetworkAddress | undefined;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
  readonly nbdLimits: NbdLimits;
}

export const text = z.optional(z.string());

/** The same names, and the same spelling of values, as the flags of the commands. */
export const commonFlags = {
  listen: text,
  advertise: text,
  nbd: text,
  insecure: z.optional(z.boolean()),
  'log-level': z.optional(z.enum(LOG_LEVELS)),
  'log-format': z.optional(z.enum(LOG_FORMATS)),
};

const common = z.strictObject(commonFlags);
const count = z.optional(z.number().check(z.int(), z.minimum(1)));
const limitsTable = z.strictObject({
  'nbd-connections': count,
  'nbd-memory': text,
  'nbd-requests': count,
});

/** What only a file has. */
export const fileTables = { limits: z.optional(limitsTable) };

/** What a TOML file says. Throws `E_USAGE` that names the file and the place. */
export function readToml<T>(
  source: string,
  { path, schema, command }: { path: string; schema: z.ZodMiniType<T>; command: string },
): T {
  let value: unknown;
  try {
    value = parseToml(source);
  } catch (error) {
    const { line } = error as { line?: number };
    const place = line === undefined ? path : `${path}, line ${line}`;
    throw new RcopyError('E_USAGE', `${place}: ${messageOf(error).split('\n')[0]}`, {
      hint: 'text stands in quotes, such as listen = "127.0.0.1:7070"',
      cause: error,
    });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new RcopyError('E_USAGE', `${path}: ${problemOf(parsed.error)}`, {
    hint: `settings have the names of the flags: see \`${command} --help\``,
  });
}

/** Flags before the file. */
export function merged<T extends object>(flags: T, fromFile: T): T {
  return { ...fromFile, ...definedOf(flags) };
}

/** What holds of what daemons share; the rest are defaults. Throws `E_USAGE`. */
export function commonFrom(
  all: z.infer<typeof common>,
  limits: z.infer<typeof limitsTable> = {},
): CommonSettings {
  const insecure = all.insecure ?? false;
  const listen = read('listen', all.listen, parseListen);
  const nbd = read('nbd', all.nbd, parseNbd);
  const memoryBytes = read('limits.nbd-memory', limits['nbd-memory'], parseSize);
  if (!insecure && listen) refuseOpen('listen', listen.host);
  if (!insecure && nbd?.kind === 'tcp') refuseOpen('nbd', nbd.host);
  return {
    listen,
    advertise: read('advertise', all.advertise, (value) => formatAddress(parseAddress(value))),
    nbd,
    logLevel: all['log-level'] ?? 'info',
    logFormat: all['log-format'] ?? 'auto',
    nbdLimits: {
      ...NBD_LIMITS,
      ...(limits['nbd-connections'] && { connectionsMax: limits['nbd-connections'] }),
      ...(limits['nbd-requests'] && { requestsInFlightMax: limits['nbd-requests'] }),
      ...(memoryBytes !== undefined && { memoryBytes }),
    },
  };
}

function definedOf<T extends object>(values: T): Partial<T> {
  const entries = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as Partial<T>;
}

/** A value as it is meant; what is wrong with it is said with its name. Throws `E_USAGE`. */
export function read<T>(name: string, value: string | undefined, parse: (text: string) => T) {
  if (value === undefined) return undefined;
  try {
    return parse(value);
  } catch (error) {
    if (!isRcopyError(error)) throw error;
    throw new RcopyError('E_USAGE', `${name}: ${error.message}`, { hint: error.hint });
  }
}

/** `HOST:PORT`; port 0 takes a free one. */
function parseListen(value: string): DaemonAddress {
  if (isAddress(value)) return parseAddress(value);
  const hint = 'write HOST:PORT, such as 127.0.0.1:7070; port 0 takes a free one';
  const address = hinting(hint, () => parseNetworkAddress(value));
  if (address.kind === 'tcp') return address;
  throw new RcopyError('E_USAGE', `${value} is not of the form HOST:PORT`, { hint });
}

/** `HOST:PORT` or `unix:PATH`; a path alone is what people write who mean the latter. */
function parseNbd(value: string): NetworkAddress {
  if (!value.includes('/') || value.startsWith('unix:')) return parseNetworkAddress(value);
  return hinting(`write unix:${value} for a unix socket`, () => parseNetworkAddress(value));
}

function hinting<T>(hint: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!isRcopyError(error)) throw error;
    throw new RcopyError(error.code, error.message, { hint, cause: error });
  }
}

function refuseOpen(name: string, host: string): void {
  if (host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)) return;
  throw new RcopyError('E_USAGE', `${name}: ${host} can be reached by others, without TLS`, {
    hint: 'use 127.0.0.1 and a tunnel, or say --insecure on a network that you trust',
  });
}
