/**
 * The settings of a daemon: from the command line, then from its TOML file, then defaults. Every
 * limit of R9 that a user may want to move is here, and `rcopy status` shows what came of it.
 *
 * ```toml
 * listen = "127.0.0.1:7070"        # control and links; HOST:PORT
 * advertise = "rcopy://tokyo:7070" # as others reach it; from listen, unless told
 * nbd = "unix:/run/tokyo.sock"     # hosts; HOST:PORT or unix:PATH
 * insecure = false                 # listen on more than loopback without TLS
 * max-rate = "20M"                 # bytes a second to the secondary
 * ack-timeout = "10s"              # --ack remote: wait this long for a link that is down
 * room-wait = "60s"                # hosts wait this long for a full journal, then get an error
 * log-level = "info"               # trace, debug, info, warn, error, silent
 * log-format = "auto"              # auto: text on a terminal, else json
 *
 * [limits]
 * nbd-connections = 64
 * nbd-memory = "96M"
 * nbd-requests = 128               # of one connection at once
 * ```
 */
import { parse as parseToml } from 'smol-toml';
import * as z from 'zod/mini';
import { RcopyError, isRcopyError, messageOf } from '../base/errors.ts';
import { parseDuration } from '../base/durations.ts';
import { ACK_TIMEOUT_MS_DEFAULT, ROOM_WAIT_MS } from '../base/limits.ts';
import { parseRate, parseSize } from '../base/sizes.ts';
import { formatAddress, isAddress, parseAddress } from '../control/addresses.ts';
import type { DaemonAddress } from '../control/addresses.ts';
import { problemOf } from '../control/schema-problems.ts';
import { NBD_LIMITS } from '../nbd/server.ts';
import type { NbdLimits } from '../nbd/server.ts';
import { parseAddress as parseNetworkAddress } from '../sys/network.ts';
import type { NetworkAddress } from '../sys/network.ts';
import { LOG_FORMATS, LOG_LEVELS } from './words.ts';
import type { LogFormat, LogLevel } from './words.ts';

export interface DaemonSettings {
  readonly listen: DaemonAddress | undefined;
  /** `rcopy://HOST:PORT` by which others reach it; undefined: as it listens. */
  readonly advertise: string | undefined;
  readonly nbd: NetworkAddress | undefined;
  readonly maxRate: number | undefined;
  readonly ackTimeoutMs: number;
  readonly roomWaitMs: number;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
  readonly nbdLimits: NbdLimits;
}

const text = z.optional(z.string());

/** The same names, and the same spelling of values, as the flags of `rcopy daemon`. */
const given = z.strictObject({
  listen: text,
  advertise: text,
  nbd: text,
  insecure: z.optional(z.boolean()),
  'max-rate': text,
  'ack-timeout': text,
  'room-wait': text,
  'log-level': z.optional(z.enum(LOG_LEVELS)),
  'log-format': z.optional(z.enum(LOG_FORMATS)),
});

const count = z.optional(z.number().check(z.int(), z.minimum(1)));

const file = z.extend(given, {
  limits: z.optional(
    z.strictObject({ 'nbd-connections': count, 'nbd-memory': text, 'nbd-requests': count }),
  ),
});

export type GivenSettings = z.infer<typeof given>;
export type FileSettings = z.infer<typeof file>;

/** What a TOML file says. Throws `E_USAGE` that names the file and the place. */
export function readSettings(source: string, path: string): FileSettings {
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
  const parsed = file.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new RcopyError('E_USAGE', `${path}: ${problemOf(parsed.error)}`, {
    hint: 'settings have the names of the flags: see `rcopy daemon --help`',
  });
}

/** What holds: flags before the file, the file before the defaults. Throws `E_USAGE`. */
export function settingsFrom(flags: GivenSettings, fromFile: FileSettings): DaemonSettings {
  const { limits = {}, ...rest } = fromFile;
  const all = { ...rest, ...definedOf(flags) };
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
    maxRate: read('max-rate', all['max-rate'], parseRate),
    ackTimeoutMs: read('ack-timeout', all['ack-timeout'], parseDuration) ?? ACK_TIMEOUT_MS_DEFAULT,
    roomWaitMs: read('room-wait', all['room-wait'], parseDuration) ?? ROOM_WAIT_MS,
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

function read<T>(name: string, value: string | undefined, parse: (text: string) => T) {
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
