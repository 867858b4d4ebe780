/**
 * The one block-device interface: hosts, NBD, the path controller and migration all speak it.
 * Nothing is awaited per request: `submit` takes a request and calls `done` exactly once, possibly
 * before it returns, in any order.
 */
import type { Extent } from '../base/extent.ts';

export type DeviceRequest = ReadRequest | WriteRequest | ZeroesRequest | FlushRequest;

export interface ReadRequest {
  readonly kind: 'read';
  readonly offset: number;
  readonly length: number;
}

export interface WriteRequest {
  readonly kind: 'write';
  readonly offset: number;
  /** Slices in order, as they came; the device owns them from now on: nobody changes them. */
  readonly data: readonly Uint8Array[];
  readonly length: number;
  /** Not answered before it is durable. */
  readonly fua: boolean;
}

export interface ZeroesRequest {
  readonly kind: 'zeroes';
  readonly offset: number;
  readonly length: number;
  readonly fua: boolean;
  /** Whether space may be freed (TRIM, or WRITE_ZEROES without NO_HOLE). */
  readonly mayFree: boolean;
}

export interface FlushRequest {
  readonly kind: 'flush';
}

/** How a request ended. */
export type Completion =
  | { readonly ok: true; readonly data?: readonly Uint8Array[]; readonly sequence?: number }
  | { readonly ok: false; readonly error: Error };

export type Done = (completion: Completion) => void;

export interface Device {
  readonly sizeBytes: number;
  readonly readOnly: boolean;
  submit(request: DeviceRequest, done: Done): void;
  /**
   * Data or hole from `offset` on, at most up to `end`; data is never called a hole. Throws what a
   * read would be refused with.
   */
  nextExtent(offset: number, end: number): Extent;
  /**
   * The same where the answer has to be waited for, and asked for instead of `nextExtent` where it
   * is there: the first stretches from `offset` on, without a gap, at least one, none behind `end`.
   */
  allocation?(offset: number, end: number): Promise<readonly Extent[]>;
  /** Whoever asked has gone: what has not begun is not to be done any more. */
  leave?(): void;
}

/** The promise form, for what is not the data path. Rejects with the request's error. */
export function submitAndWait(device: Device, request: DeviceRequest): Promise<Completion> {
  return new Promise((resolve, reject) => {
    device.submit(request, (completion) => {
      if (completion.ok) resolve(completion);
      else reject(completion.error);
    });
  });
}

/** What a host would read. */
export async function readDevice(device: Device, offset: number, length: number): Promise<Buffer> {
  const completion = await submitAndWait(device, { kind: 'read', offset, length });
  const parts = completion.ok ? (completion.data ?? []) : [];
  const [only] = parts;
  if (parts.length === 1 && only) return Buffer.from(only.buffer, only.byteOffset, only.byteLength);
  return Buffer.concat(parts);
}
