/**
 * What the volumes must hold, kept apart from everything in src: a list of the requests in the
 * order of their numbers, applied to plain buffers.
 */

export interface ModelRequest {
  readonly volume: number;
  readonly offset: number;
  /** Undefined for zeroes. */
  readonly data: Buffer | undefined;
  readonly length: number;
  /** The numbers that the request takes. */
  readonly records: number;
}

export class Model {
  /** The newest number that was answered as durable. */
  flushed = 0;
  private readonly sizes: readonly number[];
  private readonly history: { readonly last: number; readonly request: ModelRequest }[] = [];

  constructor(sizes: readonly number[]) {
    this.sizes = sizes;
  }

  /** The newest number in the history. */
  get newest(): number {
    return this.history.at(-1)?.last ?? 0;
  }

  /** A request was given; it takes the next numbers. Returns its last one. */
  add(request: ModelRequest): number {
    const last = this.newest + request.records;
    this.history.push({ last, request });
    return last;
  }

  /** A crash lost what came behind number `last`, which must be the end of a request. */
  cutBehind(last: number): void {
    while (this.newest > last) this.history.pop();
    if (this.newest !== last) throw new Error(`number ${last} is in the middle of a request`);
    if (last < this.flushed) throw new Error(`flushed ${this.flushed}, but only ${last} is there`);
  }

  /** The volumes after the records 1 to `sequence`, which must be the end of a request. */
  at(sequence: number): Buffer[] {
    const volumes = this.sizes.map((size) => Buffer.alloc(size));
    let reached = 0;
    for (const { last, request } of this.history) {
      if (last > sequence) break;
      const { volume, offset, length, data } = request;
      const target = volumes[volume];
      if (!target) throw new Error(`no volume ${volume}`);
      if (data) data.copy(target, offset);
      else target.fill(0, offset, offset + length);
      reached = last;
    }
    if (reached !== sequence) throw new Error(`number ${sequence} ends no request`);
    return volumes;
  }
}
