/**
 * What hosts may read of a volume, sector by sector: each sector that a host writes says which
 * request wrote it, so that every read can be held against the times at which requests were asked
 * for and answered. Until it is answered a request may take its place at any time, and more than
 * once: a controller sends it again when the set that had it is gone, also behind newer ones.
 */
import { Broken } from './broken.ts';

export const SECTOR_BYTES = 512;
const MAGIC = 0x72637378;
const HEADER_BYTES = 16;

/** One request of a host that changes sectors. */
export interface HostChange {
  readonly id: number;
  readonly host: number;
  readonly zeroes: boolean;
  readonly start: number;
  /** When it was answered; infinite while it is not, or when it may still be lost. */
  end: number;
  flushed: boolean;
}

/** Before the first request. */
const BLANK: HostChange = { id: 0, host: 0, zeroes: true, start: -1, end: -1, flushed: true };

export class SectorHistory {
  private readonly volume: string;
  /** The changes of each sector that a read may still find, in the order of asking. */
  private readonly sectors: HostChange[][];
  private changes: HostChange[] = [];
  private time = 0;
  /** When each read that is under way was asked for, the oldest first. */
  private readonly reads = new Set<number>();
  private nextId = 1;

  constructor(volume: string, sectors: number) {
    this.volume = volume;
    this.sectors = Array.from({ length: sectors }, () => [BLANK]);
  }

  /** Sectors. */
  get count(): number {
    return this.sectors.length;
  }

  /** A moment, later than all before. */
  now(): number {
    this.time += 1;
    return this.time;
  }

  /** A read is asked for: until it `ends`, whatever it may still find is kept. */
  beginRead(): { readonly start: number; readonly ends: () => void } {
    const start = this.now();
    this.reads.add(start);
    return { start, ends: () => void this.reads.delete(start) };
  }

  /** A host asks for a change of these sectors. */
  ask(host: number, first: number, count: number, zeroes: boolean): HostChange {
    const never = Number.POSITIVE_INFINITY;
    const start = this.now();
    const change = { id: this.nextId, host, zeroes, start, end: never, flushed: false };
    this.nextId += 1;
    for (let sector = first; sector < first + count; sector += 1) {
      this.sectors[sector]?.push(change);
    }
    this.changes.push(change);
    return change;
  }

  /** The bytes that a write of this change puts there. */
  payload(change: HostChange, first: number, count: number): Buffer {
    const bytes = Buffer.alloc(count * SECTOR_BYTES);
    for (let index = 0; index < count; index += 1) {
      this.fill(bytes.subarray(index * SECTOR_BYTES), change, first + index);
    }
    return bytes;
  }

  /** Whose write this data is, and when that was answered; infinite if it was not. */
  ownerOf(data: Buffer): { readonly host: number; readonly answered: number } {
    const id = data.readUInt32LE(8);
    const sector = data.readUInt32LE(12);
    const change = this.sectors[sector]?.find((each) => each.id === id);
    return { host: data.readUInt32LE(4), answered: change?.end ?? Number.POSITIVE_INFINITY };
  }

  answered(change: HostChange): void {
    change.end = this.now();
  }

  /** A host's flush, asked for at `start`, was answered: what it was answered before stays. */
  flushedSince(host: number, start: number): void {
    for (const change of this.changes) {
      if (change.host === host) change.flushed ||= change.end < start;
    }
    this.prune();
  }

  /** What was answered and not flushed may be lost: nobody kept it for this host. */
  mayLoseUnflushed(host: number): void {
    for (const change of this.changes) {
      if (change.flushed || change.host !== host) continue;
      change.end = Number.POSITIVE_INFINITY;
    }
  }

  /** The volume went back to this state, flushed or not: a takeover. What is asked for may come. */
  rebase(bytes: Buffer): void {
    for (const sector of this.sectors.keys()) {
      const id = this.read(bytes.subarray(sector * SECTOR_BYTES), sector);
      const found = this.sectors[sector]?.find(
        (each) => each.id === id && each.zeroes === (id === 0),
      );
      const base: HostChange = { ...(found ?? BLANK), id, zeroes: id === 0, start: -1, end: -1 };
      const open = this.sectors[sector]?.filter(({ end }) => end === Number.POSITIVE_INFINITY);
      this.sectors[sector] = [{ ...base, flushed: true }, ...(open ?? [])];
    }
  }

  /** A read that was asked for at `start` was answered with these bytes. Throws {@link Broken}. */
  check(first: number, bytes: Buffer, start: number): void {
    for (let at = 0; at * SECTOR_BYTES < bytes.length; at += 1) {
      const sector = first + at;
      const id = this.read(bytes.subarray(at * SECTOR_BYTES, (at + 1) * SECTOR_BYTES), sector);
      this.checkSector(sector, id, start);
    }
  }

  private checkSector(sector: number, id: number, start: number): void {
    const changes = this.sectors[sector] ?? [];
    const matching = changes.filter((each) => (each.zeroes ? id === 0 : each.id === id));
    const possible = matching.filter((change) => !this.isOver(change, changes, start));
    if (possible.length === 0) {
      const known = changes.map((each) => `${each.id}${each.zeroes ? 'z' : ''}`).join(' ');
      const what = id === 0 ? 'zeroes' : `request ${id}`;
      throw new Broken('R1', `${this.volume}: sector ${sector} reads ${what} of [${known}]`);
    }
  }

  /** Whether another change has certainly come between this one and a read from `start` on. */
  private isOver(change: HostChange, all: readonly HostChange[], start: number): boolean {
    return all.some((other) => other.start > change.end && other.end < start);
  }

  /** Forgets what no read can find any more. */
  private prune(): void {
    const [start = Number.POSITIVE_INFINITY] = this.reads;
    for (const [sector, changes] of this.sectors.entries()) {
      const lasting = changes.filter(({ flushed }) => flushed);
      const kept = changes.filter(
        (change) => !change.flushed || !this.isOver(change, lasting, start),
      );
      this.sectors[sector] = kept;
    }
    this.changes = this.changes.filter(({ flushed }) => !flushed);
  }

  /** The request that wrote a sector; 0 for zeroes. Throws when it is of no request of ours. */
  private read(bytes: Buffer, sector: number): number {
    if (bytes.subarray(0, SECTOR_BYTES).every((byte) => byte === 0)) return 0;
    const host = bytes.readUInt32LE(4);
    const id = bytes.readUInt32LE(8);
    const expected = Buffer.alloc(SECTOR_BYTES);
    this.fill(expected, { host, id }, sector);
    if (expected.equals(bytes.subarray(0, SECTOR_BYTES))) return id;
    const says = bytes.readUInt32LE(0) === MAGIC ? `host ${host}` : 'nobody';
    throw new Broken('R1', `${this.volume}: sector ${sector} was written by ${says}, or torn`);
  }

  private fill(
    target: Buffer,
    { host, id }: Pick<HostChange, 'host' | 'id'>,
    sector: number,
  ): void {
    target.writeUInt32LE(MAGIC, 0);
    target.writeUInt32LE(host, 4);
    target.writeUInt32LE(id, 8);
    target.writeUInt32LE(sector, 12);
    target.fill((id * 31 + sector * 7 + host) & 0xff, HEADER_BYTES, SECTOR_BYTES);
  }
}
