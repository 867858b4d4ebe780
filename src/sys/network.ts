/**
 * The network as the rest of the program sees it: streams that are dialled, and places where they
 * are accepted. An address is a host and a port, or the path of a unix socket:
 *
 *     HOST:PORT    [v6]:PORT    unix:PATH
 */
import { RcopyError } from '../base/errors.ts';
import type { ByteStream } from './stream.ts';

export type NetworkAddress = TcpAddress | UnixAddress;

export interface TcpAddress {
  readonly kind: 'tcp';
  readonly host: string;
  readonly port: number;
}

export interface UnixAddress {
  readonly kind: 'unix';
  readonly path: string;
}

/** A place where streams are accepted, until it is closed. */
export interface Listening {
  /** Where; a port that was asked for as 0 is the real one here. */
  readonly address: NetworkAddress;
  /** Accepts no more, and frees the address. Streams that were accepted stay as they are. */
  close(): Promise<void>;
}

export interface Network {
  /** A connected stream. Rejects with `E_UNREACHABLE`, also when nobody answers in time. */
  dial(address: NetworkAddress): Promise<ByteStream>;
  /**
   * Gives each stream that arrives to `onStream`. A unix socket that a dead process left behind is
   * replaced. Rejects with `E_STATE` when the address is in use, with `E_NOT_FOUND` when it is none
   * of this machine's or its folder does not exist, with `E_IO` on what else the system refuses.
   */
  listen(address: NetworkAddress, onStream: (stream: ByteStream) => void): Promise<Listening>;
}

/** What the system's address of a unix socket has room for, without its final zero. */
export const UNIX_PATH_BYTES_MAX = 107;

const PORT_MAX = 65_535;
const UNIX_PREFIX = 'unix:';

/** Reads an address as people write it. Throws `E_USAGE`. */
export function parseAddress(text: string): NetworkAddress {
  if (text.startsWith(UNIX_PREFIX)) return unixAddress(text.slice(UNIX_PREFIX.length));
  const match = /^(?:\[([^[\]]*)\]|([^:[\]]*)):([0-9]+)$/.exec(text);
  const host = match?.[1] ?? match?.[2] ?? '';
  const port = Number(match?.[3]);
  const malformed = (why: string) =>
    new RcopyError('E_USAGE', `${JSON.stringify(text)} is not an address: ${why}`, {
      hint: 'write HOST:PORT, [IPv6]:PORT or unix:PATH',
    });
  if (!match) throw malformed(text.includes(':') ? 'its form is wrong' : 'it names no port');
  if (host === '') throw malformed('it names no host');
  if (/[\s/]/.test(host)) throw malformed('no host has such a name');
  if (match[1] !== undefined && !host.includes(':')) throw malformed('[ ] is for IPv6 addresses');
  if (port > PORT_MAX) throw malformed(`ports end at ${PORT_MAX}`);
  return { kind: 'tcp', host, port };
}

/** The address of a unix socket. Throws `E_USAGE` when the system cannot have such a path. */
export function unixAddress(path: string): UnixAddress {
  const bytes = Buffer.byteLength(path);
  if (bytes === 0) throw new RcopyError('E_USAGE', 'unix: names no path');
  if (path.includes('\0')) throw new RcopyError('E_USAGE', 'a path with a zero byte is none');
  if (bytes > UNIX_PATH_BYTES_MAX) {
    throw new RcopyError(
      'E_USAGE',
      `the path of a unix socket has at most ${UNIX_PATH_BYTES_MAX} bytes, ${path} has ${bytes}`,
      { hint: 'use a shorter one, such as one in /run or /tmp, or a relative one' },
    );
  }
  return { kind: 'unix', path };
}

/** The form that {@link parseAddress} reads. */
export function formatAddress(address: NetworkAddress): string {
  switch (address.kind) {
    case 'tcp':
      return address.host.includes(':')
        ? `[${address.host}]:${address.port}`
        : `${address.host}:${address.port}`;
    case 'unix':
      return `${UNIX_PREFIX}${address.path}`;
  }
}
