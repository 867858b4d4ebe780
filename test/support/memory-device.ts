/** A block device in memory, as plain as can be: the model that other devices are held against. */
import { RcopyError } from '../../src/base/errors.ts';
import type { Extent } from '../../src/base/extent.ts';
import type { Completion, Device, DeviceRequest, Done } from '../../src/device/device.ts';

export class MemoryDevice implements Device {
  readonly content: Buffer;
  readOnly = false;
  /** Requests that came, in order, the bytes of writes left out. */
  readonly seen: string[] = [];
  private readonly listing: boolean;

  /** With `listing`, `seen` is kept. */
  constructor(sizeBytes: number, listing = false) {
    this.content = Buffer.alloc(sizeBytes);
    this.listing = listing;
  }

  get sizeBytes(): number {
    return this.content.length;
  }

  submit(request: DeviceRequest, done: Done): void {
    if (this.listing) this.seen.push(describeRequest(request));
    done(this.perform(request));
  }

  /** Does it now. */
  perform(request: DeviceRequest): Completion {
    if (request.kind === 'flush') return DONE;
    const { offset, length } = request;
    if (length <= 0 || offset < 0 || offset + length > this.sizeBytes) {
      return { ok: false, error: new RcopyError('E_RANGE', `${offset}+${length} is outside`) };
    }
    if (request.kind === 'read') {
      return { ok: true, data: [Buffer.from(this.content.subarray(offset, offset + length))] };
    }
    if (this.readOnly) return { ok: false, error: new RcopyError('E_ROLE', 'read only') };
    if (request.kind === 'zeroes') {
      this.content.fill(0, offset, offset + length);
      return DONE;
    }
    let at = offset;
    for (const part of request.data) {
      this.content.set(part, at);
      at += part.length;
    }
    return DONE;
  }

  /** Blocks of 4 KiB that are all zero are holes. */
  nextExtent(offset: number, end: number): Extent {
    let at = offset;
    let data: boolean | undefined;
    while (at < end) {
      const blockEnd = Math.min(end, (Math.floor(at / 4096) + 1) * 4096);
      const holds = this.content.subarray(at, blockEnd).some((byte) => byte !== 0);
      data ??= holds;
      if (holds !== data) break;
      at = blockEnd;
    }
    return { offset, length: at - offset, data: data ?? false };
  }
}

const DONE: Completion = { ok: true };

/** A request in one line. */
export function describeRequest(request: DeviceRequest): string {
  switch (request.kind) {
    case 'flush':
      return 'flush';
    case 'read':
      return `read ${request.offset} ${request.length}`;
    case 'write':
      return `write ${request.offset} ${request.length}${request.fua ? ' fua' : ''}`;
    case 'zeroes': {
      const flags = `${request.mayFree ? ' free' : ''}${request.fua ? ' fua' : ''}`;
      return `zeroes ${request.offset} ${request.length}${flags}`;
    }
  }
}
