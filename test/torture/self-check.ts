/**
 * Proves that a {@link PowerDisk} does lose what was not synced, and nothing else; without that,
 * a campaign on it would prove nothing.
 */
import {
  closeSync,
  existsSync,
  fdatasyncSync,
  fsyncSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MOUNT_OPTIONS, PowerDisk } from './power-disk.ts';

const BLOCK_BYTES = 4096;
const OLD = Buffer.alloc(BLOCK_BYTES * 2, 'old');
const NEW = Buffer.alloc(BLOCK_BYTES, 'new');

/** Rejects, saying what, when something unsynced stayed, or something synced went. */
export async function checkPowerDisk(): Promise<void> {
  const scratch = mkdtempSync(join(tmpdir(), 'rcopy-power-'));
  const disk = await PowerDisk.make(join(scratch, 'power'), MOUNT_OPTIONS[0]);
  try {
    await checkLosses(disk);
  } finally {
    await disk.release();
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function checkLosses(disk: PowerDisk): Promise<void> {
  const at = (name: string): string => join(disk.folder, name);
  const file = openSync(at('synced'), 'w');
  writeSync(file, OLD);
  fsyncSync(file);
  syncFolder(disk.folder);
  // The first block anew and synced, the second anew and not; a file and a name that nobody syncs.
  writeSync(file, NEW, 0, BLOCK_BYTES, 0);
  fdatasyncSync(file);
  writeSync(file, NEW, 0, BLOCK_BYTES, BLOCK_BYTES);
  const unsynced = openSync(at('unsynced'), 'w');
  writeSync(unsynced, NEW);
  renameSync(at('synced'), at('renamed'));
  disk.fail();
  for (const open of [file, unsynced]) closeSync(open);
  await disk.powerOnAgain();
  expectThat(!existsSync(at('unsynced')), 'a file that was not synced is there');
  expectThat(existsSync(at('synced')), 'a name that was synced is gone, or an unsynced one there');
  const found = readFileSync(at('synced'));
  expectThat(found.subarray(0, BLOCK_BYTES).equals(NEW), 'a block that was synced is gone');
  const second = found.subarray(BLOCK_BYTES);
  expectThat(second.equals(OLD.subarray(BLOCK_BYTES)), 'a block that was not synced is there');
}

function syncFolder(path: string): void {
  const folder = openSync(path, 'r');
  fsyncSync(folder);
  closeSync(folder);
}

function expectThat(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(`this disk does not lose its power as disks do: ${otherwise}`);
}
