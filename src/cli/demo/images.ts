/**
 * Two versions of one raw image for the demo's `db` volume: an ext4 file system before and after a
 * day's work where mke2fs is at hand, else bytes that look like such a day.
 */
import { join } from 'node:path';
import { KIB, MIB } from '../../base/limits.ts';
import type { FileSystem } from '../../sys/files.ts';
import type { RunProgram } from './programs.ts';
import { DB } from './volumes.ts';

const DB_BYTES = DB.sizeBytes;

/** Differences are found and written in blocks of this size, as a file system would. */
const BLOCK_BYTES = 4 * KIB;

/** The longest single write of a difference. */
const CHANGE_BYTES_MAX = 128 * KIB;

const LEDGERS = 40;
const LEDGER_LINES = 4000;

export interface DemoImages {
  readonly kind: 'ext4' | 'generated';
  /** Files in the file system; 0 when it is none. */
  readonly files: number;
  readonly first: string;
  readonly later: string;
}

/** Makes both images in `folder`, each as long as {@link DB} and sparse. */
export async function makeImages(
  files: FileSystem,
  folder: string,
  run: RunProgram,
): Promise<DemoImages> {
  const first = join(folder, 'db-first.img');
  const later = join(folder, 'db-later.img');
  const ext4 =
    (await makeExt4(files, folder, { image: first, version: 1 }, run)) &&
    (await makeExt4(files, folder, { image: later, version: 2 }, run));
  if (ext4) return { kind: 'ext4', files: ledgersOf(1).length, first, later };
  generate(files, first, 1);
  generate(files, later, 2);
  return { kind: 'generated', files: 0, first, later };
}

/** False when mke2fs is not there, or is too old to fill a file system. */
async function makeExt4(
  files: FileSystem,
  folder: string,
  { image, version }: { readonly image: string; readonly version: number },
  run: RunProgram,
): Promise<boolean> {
  const tree = join(folder, 'tree');
  files.makeFolder(join(tree, 'ledgers'), 'DEMO:TREE');
  try {
    for (const ledger of ledgersOf(version)) {
      const file = files.open(join(tree, 'ledgers', `${ledger}.txt`), 'replace', 'DEMO:TREE');
      file.write([Buffer.from(ledgerText(ledger, version))], 0, 'DEMO:TREE');
      file.close();
    }
    files.remove(image, 'DEMO:IMAGE');
    const size = `${DB_BYTES / KIB}k`;
    const end = await run('mke2fs', ['-q', '-F', '-t', 'ext4', '-d', tree, image, size]);
    return end?.exitCode === 0 && files.status(image, 'DEMO:IMAGE')?.sizeBytes === DB_BYTES;
  } finally {
    files.remove(tree, 'DEMO:TREE');
  }
}

/** Some ledgers of the first version are closed in the second, and others opened. */
function ledgersOf(version: number): number[] {
  const all = Array.from({ length: LEDGERS + 6 * (version - 1) }, (_, index) => 1 + index);
  return version === 1 ? all : all.filter((ledger) => ledger % 10 !== 7);
}

/** Every third ledger is written anew in the second version, and is longer then. */
function ledgerText(ledger: number, version: number): string {
  const edition = ledger % 3 === 0 ? version : 1;
  const lines: string[] = [];
  for (let line = 1; line <= LEDGER_LINES + 500 * (edition - 1); line += 1) {
    const cents = (line * 7919 + ledger * 104_729 + edition * 31) % 1_000_000;
    lines.push(
      `entry ${line} of ledger ${ledger}: ${(cents / 100).toFixed(2)} in edition ${edition}`,
    );
  }
  return `${lines.join('\n')}\n`;
}

/** Ledgers one behind the other, with holes between them, where no file system can be made. */
function generate(files: FileSystem, image: string, version: number): void {
  const file = files.open(image, 'replace', 'DEMO:IMAGE');
  try {
    file.setSize(DB_BYTES, 'DEMO:IMAGE');
    const room = Math.floor(DB_BYTES / (LEDGERS + 6));
    for (const ledger of ledgersOf(version)) {
      const text = Buffer.from(ledgerText(ledger, version)).subarray(0, room);
      file.write([text], (ledger - 1) * room, 'DEMO:IMAGE');
    }
  } finally {
    file.close();
  }
}

/** A stretch in which the two images differ. */
export interface ImageChange {
  readonly offset: number;
  readonly length: number;
}

/** All stretches in which the later image differs from the first. */
export function changesBetween(files: FileSystem, { first, later }: DemoImages): ImageChange[] {
  const before = files.open(first, 'read', 'DEMO:COMPARE');
  const after = files.open(later, 'read', 'DEMO:COMPARE');
  const changes: { offset: number; length: number }[] = [];
  const old = Buffer.alloc(MIB);
  const fresh = Buffer.alloc(MIB);
  try {
    for (let base = 0; base < DB_BYTES; base += MIB) {
      before.read(old, base, 'DEMO:COMPARE');
      after.read(fresh, base, 'DEMO:COMPARE');
      if (old.equals(fresh)) continue;
      for (let at = 0; at < MIB; at += BLOCK_BYTES) {
        const end = at + BLOCK_BYTES;
        if (old.subarray(at, end).equals(fresh.subarray(at, end))) continue;
        const last = changes.at(-1);
        const offset = base + at;
        const grows =
          last && last.offset + last.length === offset && last.length < CHANGE_BYTES_MAX;
        if (grows) last.length += BLOCK_BYTES;
        else changes.push({ offset, length: BLOCK_BYTES });
      }
    }
    return changes;
  } finally {
    before.close();
    after.close();
  }
}
