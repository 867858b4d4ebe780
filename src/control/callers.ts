/**
 * Who may call the control interface. It has no passwords: whoever reaches its address or its
 * socket may do everything. What it must not do is obey a web page that a browser of such a person
 * shows; pages can send requests without reading the answers, and can have a name of their own bent
 * to this address (DNS rebinding).
 */
import type { IncomingHttpHeaders } from 'node:http';
import { RcopyError } from '../base/errors.ts';

export interface Caller {
  readonly headers: IncomingHttpHeaders;
  /** Over the unix socket, which browsers cannot reach. */
  readonly isLocal: boolean;
}

/** Throws `E_PROTOCOL`; `names` are those by which the daemon goes, in lower case. */
export function checkCaller({ headers, isLocal }: Caller, names: ReadonlySet<string>): void {
  if (headers.origin !== undefined || headers['sec-fetch-site'] !== undefined) {
    throw new RcopyError('E_PROTOCOL', 'the control interface is not for browsers');
  }
  const host = hostOf(headers.host);
  if (isLocal || isAddressLiteral(host) || host === 'localhost' || names.has(host)) return;
  throw new RcopyError('E_PROTOCOL', `this daemon does not go by the name ${host}`, {
    hint: 'use its IP address, or start it with --advertise rcopy://NAME:PORT',
  });
}

/** The host of a Host header, without its port. */
function hostOf(header = ''): string {
  return header.replace(/:\d+$/, '').toLowerCase();
}

/** A name can be bent to another address, an address cannot. */
function isAddressLiteral(host: string): boolean {
  return /^(\d{1,3}(\.\d{1,3}){3}|\[[0-9a-f:.]+\])$/.test(host);
}
