/** An address has the form `rcopy://HOST:PORT`: a daemon has one, for all that reach it. */
import { RcopyError } from '../base/errors.ts';

const SCHEME = 'rcopy://';

/** Where a daemon listens. */
export interface DaemonAddress {
  readonly host: string;
  readonly port: number;
}

/** Whether a SET is an address, not a folder. */
export function isAddress(set: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(set);
}

/** `HOST:PORT`: what people write who mean a daemon's address. */
export function meansAddress(set: string): boolean {
  return /^(?:\[[0-9a-f:.]+\]|[a-z0-9.-]+):\d{1,5}$/i.test(set);
}

/** Throws `E_USAGE` when it is not of the form `rcopy://HOST:PORT`. */
export function parseAddress(set: string): DaemonAddress {
  const match = /^rcopy:\/\/(?:\[([0-9a-f:.]+)\]|([^:/[\]]+)):(\d{1,5})\/?$/i.exec(set);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host !== undefined && port > 0 && port < 65_536) return { host, port };
  throw new RcopyError('E_USAGE', `${set} is no address of a daemon`, {
    hint: 'write rcopy://HOST:PORT, with the HOST:PORT that its --listen says',
  });
}

export function formatAddress({ host, port }: DaemonAddress): string {
  return `${SCHEME}${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** For what reads files itself. Throws `E_USAGE` for the address of a daemon. */
export function refuseAddress(set: string): void {
  if (!isAddress(set)) return;
  throw new RcopyError('E_USAGE', `${set}: inspect reads the files themselves, not a daemon`, {
    hint: 'name the folder, on the machine where it is; `rcopy status` asks a daemon',
  });
}
