/**
 * The settings of a path controller: from the command line, then from its TOML file, then defaults.
 *
 * ```toml
 * nbd = "unix:/run/gate.sock"      # hosts; HOST:PORT or unix:PATH
 * listen = "127.0.0.1:7080"        # control; HOST:PORT
 * advertise = "rcopy://gate:7080"  # as others reach it; from listen, unless told
 * insecure = false                 # listen on more than loopback without TLS
 * hold-limit = "60s"               # hosts wait this long while no set answers, then get an error
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
import { RcopyError } from '../base/errors.ts';
import { PATH_HOLD_MS } from '../base/limits.ts';
import type { NetworkAddress } from '../sys/network.ts';
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

export interface PathSettings extends CommonSettings {
  readonly nbd: NetworkAddress;
  /** How long hosts wait while no set answers, in milliseconds. */
  readonly holdMs: number;
}

const given = z.strictObject({ ...commonFlags, 'hold-limit': text });
const file = z.extend(given, fileTables);

export type GivenPathSettings = z.infer<typeof given>;
export type PathFileSettings = z.infer<typeof file>;

/** What a TOML file says. Throws `E_USAGE` that names the file and the place. */
export function readPathSettings(source: string, path: string): PathFileSettings {
  return readToml(source, { path, schema: file, command: 'rcopy path serve' });
}

/** What holds: flags before the file, the file before the defaults. Throws `E_USAGE`. */
export function pathSettingsFrom(
  flags: GivenPathSettings,
  fromFile: PathFileSettings,
): PathSettings {
  const { limits, ...rest } = fromFile;
  const all = merged(flags, rest);
  const { nbd, ...common } = commonFrom(all, limits);
  if (!nbd) {
    throw new RcopyError('E_USAGE', 'missing --nbd: where hosts reach the exports', {
      hint: 'write --nbd HOST:PORT, --nbd unix:PATH, or nbd = "…" in rcopy.toml',
    });
  }
  return {
    ...common,
    nbd,
    holdMs: read('hold-limit', all['hold-limit'], parseHold) ?? PATH_HOLD_MS,
  };
}

/** Without any time no set could ever be replaced by another. */
function parseHold(value: string): number {
  const holdMs = parseDuration(value);
  if (holdMs > 0) return holdMs;
  throw new RcopyError('E_USAGE', `${value} lets no host wait at all`, {
    hint: 'hosts wait during a switch; 60s is usual',
  });
}
