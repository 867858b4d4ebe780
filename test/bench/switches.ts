/**
 * `npm run switches -- [--moves N] [--json FILE] [--folder DIR]`: how long hosts are held up while
 * a volume moves. The primary of a pair goes from one daemon to another, each time to a new set,
 * with a path controller in front: idle, for a volume of 1 GiB and a sparse one of
 * 1 TiB; then with a host that writes, beside the same host on a set that does not move, and beside
 * qemu-storage-daemon, whose blockdev-mirror and job-complete move a raw image. It judges nothing.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { MigrateAnswer } from '../../src/node/answers.ts';
import type { PathStatusAnswer } from '../../src/node/path-service.ts';
import type { DaemonProcess } from '../support/daemons.ts';
import { rcopyJson } from '../support/daemons.ts';
import { runFio } from './fio.ts';
import type { FioJob } from './jobs.ts';
import { missing } from './programs.ts';
import { summary } from './statistics.ts';
import { MirroredImage } from './mirrored-image.ts';
import { serveSet } from './subjects/rcopy.ts';
import { guard } from './subjects/rcopy-guarded.ts';

const GIB = 1024 ** 3;
const TIB = 1024 ** 4;
/** A host's load while a volume moves: far below what the machine can do. */
const LOAD: FioJob = {
  kind: 'fio',
  name: 'load',
  title: 'random write 4 KiB, depth 4, 500 a second, fsync every 16',
  words: ['--rw=randwrite', '--bs=4k', '--iodepth=4', '--fsync=16', '--rate_iops=500'],
  timed: true,
  aims: {},
};
const LOAD_SECONDS = 6;
const LOAD_BYTES = GIB / 4;

/** Milliseconds, one for each move or run. */
interface Row {
  readonly what: string;
  readonly aim?: string;
  readonly valuesMs: readonly number[];
}

/** A pair behind a controller, and the next set that it moves to. */
class MovingSet {
  readonly uri: string;
  private readonly folder: string;
  private readonly sizeBytes: number;
  private readonly gate: Awaited<ReturnType<typeof guard>>;
  private readonly daemons: DaemonProcess[];
  private address: string;
  private moves = 0;

  private constructor(
    parts: Pick<MovingSet, 'uri'> & { folder: string; sizeBytes: number; address: string },
    gate: Awaited<ReturnType<typeof guard>>,
    daemons: DaemonProcess[],
  ) {
    this.uri = parts.uri;
    this.folder = parts.folder;
    this.sizeBytes = parts.sizeBytes;
    this.address = parts.address;
    this.gate = gate;
    this.daemons = daemons;
  }

  static async start(folder: string, sizeBytes: number): Promise<MovingSet> {
    const primary = await serveSet(join(folder, 'tokyo'), sizeBytes);
    const secondary = await serveSet(join(folder, 'kyoto'), sizeBytes);
    await rcopyJson('pair', 'create', primary.address, secondary.address, '--wait');
    const gate = await guard(join(folder, 'gate'), primary.address);
    const daemons = [primary.daemon, secondary.daemon];
    const { address } = primary;
    return new MovingSet({ uri: gate.uri, folder, sizeBytes, address }, gate, daemons);
  }

  /** Moves to a new set, in the usual way; resolves with the hold as the controller has it. */
  async move(): Promise<number> {
    this.moves += 1;
    const target = await serveSet(join(this.folder, `osaka-${this.moves}`), this.sizeBytes);
    this.daemons.push(target.daemon);
    await rcopyJson<MigrateAnswer>('migrate', this.address, target.address);
    this.address = target.address;
    const { sets } = await rcopyJson<PathStatusAnswer>('path', 'status', join(this.folder, 'gate'));
    return sets[0]?.lastPauseMs ?? Number.NaN;
  }

  async stop(): Promise<void> {
    await this.gate.process.stop();
    for (const daemon of this.daemons) await daemon.stop();
  }
}

async function idle(folder: string, sizeBytes: number, moves: number): Promise<number[]> {
  const set = await MovingSet.start(folder, sizeBytes);
  try {
    const pauses: number[] = [];
    for (let move = 0; move < moves; move += 1) pauses.push(await set.move());
    return pauses;
  } finally {
    await set.stop();
  }
}

/** The longest wait of a host while `move` happens, or nothing does. */
async function longestWait(uri: string, move: () => Promise<unknown>): Promise<number> {
  const load = runFio(LOAD, uri, { seconds: LOAD_SECONDS, sizeBytes: LOAD_BYTES });
  await new Promise((resolve) => void setTimeout(resolve, (LOAD_SECONDS * 1000) / 3));
  await move();
  return (await load).longestMs;
}

const still = (): Promise<void> => Promise.resolve();

async function underLoad(folder: string, moves: number): Promise<Row[]> {
  const set = await MovingSet.start(folder, GIB);
  const holds: number[] = [];
  const moving: number[] = [];
  const standing: number[] = [];
  try {
    for (let round = 0; round < moves; round += 1) {
      standing.push(await longestWait(set.uri, still));
      moving.push(await longestWait(set.uri, async () => void holds.push(await set.move())));
    }
  } finally {
    await set.stop();
  }
  return [
    { what: 'rcopy, a host writes: hold to release', valuesMs: holds },
    { what: 'rcopy, a host writes: its longest wait while the set moves', valuesMs: moving },
    { what: 'rcopy, a host writes: its longest wait when nothing moves', valuesMs: standing },
  ];
}

async function mirrored(folder: string, moves: number): Promise<Row[]> {
  const moving: number[] = [];
  const standing: number[] = [];
  const image = await MirroredImage.start(folder, GIB);
  try {
    for (let round = 0; round < moves; round += 1) {
      standing.push(await longestWait(image.uri, still));
      moving.push(await longestWait(image.uri, () => image.move()));
    }
  } finally {
    await image.stop();
  }
  const name = 'qemu-storage-daemon, a host writes: its longest wait';
  return [
    { what: `${name} while the image moves (no journal, no second site)`, valuesMs: moving },
    { what: `${name} when nothing moves`, valuesMs: standing },
  ];
}

function table(rows: readonly Row[]): string {
  const lines = ['| what | median | least to most | aim |', '| --- | ---: | ---: | ---: |'];
  for (const { what, valuesMs, aim = '' } of rows) {
    const { median, least, most } = summary(valuesMs);
    const spread = `${least.toFixed(1)} to ${most.toFixed(1)} ms`;
    lines.push(`| ${what} | ${median.toFixed(1)} ms | ${spread} | ${aim} |`);
  }
  return lines.join('\n');
}

const { values } = parseArgs({
  options: {
    moves: { type: 'string', default: '5' },
    json: { type: 'string' },
    folder: { type: 'string', default: tmpdir() },
  },
});
const moves = Number(values.moves);
if (!Number.isInteger(moves) || moves < 1) throw new Error('--moves is a number from 1 on');
const absent = missing(['fio', 'qemu-storage-daemon']);
if (absent.length > 0) throw new Error(`programs are not installed: ${absent.join(', ')}`);
const scratch = mkdtempSync(join(values.folder, 'rcopy-switches-'));
const at = (name: string): string => mkdtempSync(join(scratch, `${name}-`));
try {
  const aim = 'below 10 ms';
  const rows: Row[] = [
    { what: 'idle, 1 GiB: hold to release', aim, valuesMs: await idle(at('gib'), GIB, moves) },
    {
      what: 'idle, 1 TiB sparse: hold to release',
      aim,
      valuesMs: await idle(at('tib'), TIB, moves),
    },
    ...(await underLoad(at('load'), moves)),
    ...(await mirrored(at('mirror'), moves)),
  ];
  if (values.json) writeFileSync(values.json, `${JSON.stringify(rows, null, 2)}\n`);
  process.stdout.write(`${table(rows)}\n`);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
