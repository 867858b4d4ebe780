/** One volume as hosts see it through a path controller, whichever set serves it now. */
import { RcopyError } from '../base/errors.ts';
import type { Extent } from '../base/extent.ts';
import { NBD_STRETCH_BYTES_MAX } from '../base/limits.ts';
import type { Completion, Device, DeviceRequest, Done, ZeroesRequest } from '../device/device.ts';

/** Who sends requests through an export. */
export interface PathHost {
  readonly path: PathExport;
  /** It may be doing the same elsewhere by now: nothing of it is sent any more. */
  readonly hasLeft: boolean;
}

/** The switch that an export's requests go through. */
export interface PathOwner {
  submit(host: PathHost, request: DeviceRequest, done: Done): void;
  /** Whether requests go on to the sets: what was lost is there again. */
  readonly isOpen: boolean;
  /** Forgets what waits of hosts that have left. */
  forgetLeft(): void;
}

export class PathExport {
  readonly volume: string;
  readonly sizeBytes: number;
  /** The volume at the set that is connected now. */
  upstream: Device | undefined;
  /** Why nothing is served here any more. */
  ended: RcopyError | undefined;
  /** How often answered writes were lost for good. */
  losses = 0;
  /** The highest number that a write here was answered with. */
  newest = 0;
  private readonly owner: PathOwner;

  constructor(volume: string, sizeBytes: number, owner: PathOwner) {
    this.volume = volume;
    this.sizeBytes = sizeBytes;
    this.owner = owner;
  }

  /** Throws `E_STATE` unless `device` offers what hosts were promised. */
  check(device: Device | undefined): void {
    const { volume, sizeBytes } = this;
    if (device?.sizeBytes === sizeBytes && !device.readOnly) return;
    const what = !device
      ? 'is not there'
      : device.readOnly
        ? 'is read-only'
        : `has ${device.sizeBytes} bytes`;
    throw new RcopyError('E_STATE', `volume ${volume} ${what}: hosts were promised ${sizeBytes}`, {
      hint: 'hosts that are connected keep what they were told; give them another export',
    });
  }

  /** Answered writes to this volume are lost, and nobody can write them again. */
  noteLoss(): void {
    this.losses += 1;
  }

  end(error: RcopyError): void {
    this.ended ??= error;
  }

  /** The device of one connection of a host: each is told once of a loss. */
  forHost(): Device {
    return new HostView(this, this.owner);
  }
}

class HostView implements Device, PathHost {
  readonly sizeBytes: number;
  readonly readOnly = false;
  readonly path: PathExport;
  hasLeft = false;
  private readonly owner: PathOwner;
  private lossesTold: number;

  constructor(path: PathExport, owner: PathOwner) {
    this.path = path;
    this.owner = owner;
    this.sizeBytes = path.sizeBytes;
    this.lossesTold = path.losses;
  }

  submit(request: DeviceRequest, done: Done): void {
    const { path } = this;
    if (path.ended) done({ ok: false, error: path.ended });
    else if (request.kind === 'flush') this.flush(request, done);
    else if (request.kind === 'zeroes' && request.length > NBD_STRETCH_BYTES_MAX) {
      this.zeroesInPieces(request, done);
    } else this.owner.submit(this, request, done);
  }

  leave(): void {
    this.hasLeft = true;
    this.owner.forgetLeft();
  }

  nextExtent(offset: number, end: number): Extent {
    return { offset, length: end - offset, data: true };
  }

  /** As the set tells it; while hosts wait, everything may be data. */
  async allocation(offset: number, end: number): Promise<readonly Extent[]> {
    const { upstream } = this.path;
    const anything = [this.nextExtent(offset, end)];
    if (!this.owner.isOpen) return anything;
    return (await upstream?.allocation?.(offset, end).catch(() => anything)) ?? anything;
  }

  /** Each piece has a number of its own, by which it is known whether a set has lost it. */
  private zeroesInPieces(request: ZeroesRequest, done: Done): void {
    const end = request.offset + request.length;
    let missing = Math.ceil(request.length / NBD_STRETCH_BYTES_MAX);
    let answer: Completion = { ok: true };
    const pieceDone = (completion: Completion): void => {
      missing -= 1;
      if (answer.ok) answer = completion;
      if (missing === 0) done(answer);
    };
    for (let { offset } = request; offset < end; offset += NBD_STRETCH_BYTES_MAX) {
      const length = Math.min(NBD_STRETCH_BYTES_MAX, end - offset);
      this.owner.submit(this, { ...request, offset, length }, pieceDone);
    }
  }

  /** A flush tells of a loss before it may promise anything again. */
  private flush(request: DeviceRequest, done: Done): void {
    const { path } = this;
    const told = (completion: Completion): void => {
      if (!completion.ok || this.lossesTold === path.losses) {
        done(completion);
        return;
      }
      this.lossesTold = path.losses;
      done({ ok: false, error: lostWrites(path.volume) });
    };
    this.owner.submit(this, request, told);
  }
}

function lostWrites(volume: string): RcopyError {
  return new RcopyError('E_IO', `writes to volume ${volume} were lost before they were durable`, {
    hint: 'what was written since the last flush that succeeded has to be written again',
  });
}
