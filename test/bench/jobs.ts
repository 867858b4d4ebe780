/** What is measured: the same jobs for every subject. */

/** A job of fio on one connection. */
export interface FioJob {
  readonly kind: 'fio';
  readonly name: string;
  readonly title: string;
  readonly words: readonly string[];
  /** Runs for the time that was asked for; else until it is through with the volume, once. */
  readonly timed: boolean;
  /** What rcopy is to reach, as shares of what `nbdkit file` does. */
  readonly aims: { readonly [subject: string]: number };
}

/** A first copy of a volume with holes: rcopy's between two daemons, nbdcopy's between servers. */
export interface CopyJob {
  readonly kind: 'copy';
  readonly name: string;
  readonly title: string;
  readonly aims: { readonly [subject: string]: number };
}

export type Job = FioJob | CopyJob;

/** The volume of all jobs. */
export const VOLUME_BYTES = 1024 ** 3;

/** A first copy finds data and holes in turns of this size. */
export const STRETCH_BYTES = 64 * 1024 ** 2;

const random = (rw: string, depth: number, ...more: string[]) => [
  `--rw=${rw}`,
  '--bs=4k',
  `--iodepth=${depth}`,
  '--randrepeat=0',
  ...more,
];

const sequential = (rw: string, ...more: string[]) => [
  `--rw=${rw}`,
  '--bs=256k',
  '--iodepth=8',
  ...more,
];

export const JOBS: readonly Job[] = [
  {
    kind: 'fio',
    name: 'random-write-32',
    title: 'random write 4 KiB, depth 32',
    words: random('randwrite', 32),
    timed: true,
    aims: { rcopy: 2, 'rcopy, paired': 0.8 },
  },
  {
    kind: 'fio',
    name: 'random-write-32-fsync-16',
    title: 'random write 4 KiB, depth 32, fsync every 16',
    words: random('randwrite', 32, '--fsync=16'),
    timed: true,
    aims: { rcopy: 2.5 },
  },
  {
    kind: 'fio',
    name: 'random-write-1',
    title: 'random write 4 KiB, depth 1',
    words: random('randwrite', 1),
    timed: true,
    aims: { rcopy: 1 },
  },
  {
    kind: 'fio',
    name: 'random-write-1-fsync-1',
    title: 'random write 4 KiB, depth 1, fsync after each',
    words: random('randwrite', 1, '--fsync=1'),
    timed: true,
    aims: { rcopy: 1 },
  },
  {
    kind: 'fio',
    name: 'random-read-32',
    title: 'random read 4 KiB, depth 32',
    words: random('randread', 32),
    timed: true,
    aims: { rcopy: 1.3 },
  },
  {
    kind: 'fio',
    name: 'sequential-read',
    title: 'sequential read 256 KiB',
    words: sequential('read'),
    timed: true,
    aims: { rcopy: 0.9 },
  },
  {
    kind: 'fio',
    name: 'sequential-write-sync',
    title: 'sequential write of 1 GiB, then a sync',
    words: sequential('write', '--end_fsync=1'),
    timed: false,
    aims: { rcopy: 0.45 },
  },
  {
    kind: 'fio',
    name: 'sequential-write',
    title: 'sequential write of 1 GiB, in memory',
    words: sequential('write'),
    timed: false,
    aims: { rcopy: 0.4 },
  },
  {
    kind: 'copy',
    name: 'first-copy',
    title: 'first copy of 1 GiB with holes',
    aims: { rcopy: 1 },
  },
];
