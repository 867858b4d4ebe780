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
import * as z from 'zod/mini';
import { parseDuration } from '../base/durations.ts';
import { ACK_TIMEOUT_MS_DEFAULT, ROOM_WAIT_MS } from '../base/limits.ts';
import { parseRate } from '../base/sizes.ts';
import {
  commonFlags,
  commonFrom,
  fileTables,
  merged,
  read,
  readToml,
  text,
} from './common-settings.ts';
import type { CommonSettings } from './common-settings.ts';

export interface DaemonSettings extends CommonSettings {
  readonly maxRate: number | undefined;
  readonly ackTimeoutMs: number;
  readonly roomWaitMs: number;
}

const given = z.strictObject({
  ...commonFlags,
  'max-rate': text,
  'ack-timeout': text,
  'room-wait': text,
});

const file = z.extend(given, fileTables);

export type GivenSettings = z.infer<typeof given>;
export type FileSettings = z.infer<typeof file>;

/** What a TOML file says. Throws `E_USAGE` that names the file and the place. */
export function readSettings(source: string, path: string): FileSettings {
  return readToml(source, { path, schema: file, command: 'rcopy daemon' });
}

/** What holds: flags before the file, the file before the defaults. Throws `E_USAGE`. */
export function settingsFrom(flags: GivenSettings, fromFile: FileSettings): DaemonSettings {
  const { limits, ...rest } = fromFile;
  const all = merged(flags, rest);
  return {
    ...commonFrom(all, limits),
    maxRate: read('max-rate', all['max-rate'], parseRate),
    ackTimeoutMs: read('ack-timeout', all['ack-timeout'], parseDuration) ?? ACK_TIMEOUT_MS_DEFAULT,
    roomWaitMs: read('room-wait', all['room-wait'], parseDuration) ?? ROOM_WAIT_MS,
  };
}
