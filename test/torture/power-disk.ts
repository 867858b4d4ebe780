/**
 * A file system that can lose its power: ext4 on a loop device on the file that nbdfuse makes of an
 * nbdkit, whose write-back cache alone holds what was not flushed. When nbdkit is killed, all that
 * is gone, as it is from the memory of a machine and of its disk:
 *
 *   folder ── ext4 ── loop device ── nbdfuse ── nbdkit: cache=writeback ── raw file
 *                                                  ▲
 *                                             kill -9 here
 *
 * A flush of the disk makes nbdkit write its cache to the raw file. What stands in the raw file
 * after the kill is what power loss leaves; the next start mounts a copy of it, and ext4 plays its
 * own journal.
 */
import { existsSync, mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { begin, run } from '../support/processes.ts';
import type { Running } from '../support/processes.ts';

const SIZE_BYTES = 768 * 1024 * 1024;
const STEP_MS = 60_000;
const LOOK_AGAIN_MS = 10;
/** These processes live as long as the disk has power. */
const FOREVER = { timeoutMs: 0 };

/**
 * Ways to mount it: they differ in what of unsynced files is there after power loss. ext4 would
 * sync a file by itself that takes another one's name; most of them are told not to.
 */
export const MOUNT_OPTIONS = [
  'data=ordered',
  'data=ordered,noauto_da_alloc',
  'data=writeback,noauto_da_alloc',
  'data=ordered,noauto_da_alloc,nodelalloc,commit=1',
] as const;

export const DISK_PROGRAMS = ['nbdkit', 'nbdfuse', 'losetup', 'mkfs.ext4', 'mount', 'umount'];

/** Runs a program that must succeed; gives what it wrote. */
async function succeed(program: string, ...words: readonly string[]): Promise<string> {
  const { code, stdout, said } = await run(program, words, { timeoutMs: STEP_MS });
  if (code !== 0) throw new Error(`${program} ${words.join(' ')} ended with ${code}: ${said}`);
  return stdout.toString();
}

export class PowerDisk {
  /** Where the file system is, while it has power. */
  readonly folder: string;
  private readonly place: string;
  private readonly options: string;
  /** Which copy of the raw file it has, or had when the power went. */
  private generation = 1;
  private kit: Running | undefined;
  private fuse: Running | undefined;
  private loop: string | undefined;
  private mounted = false;

  private constructor(place: string, options: string) {
    this.place = place;
    this.options = options;
    this.folder = join(place, 'disk');
  }

  /** Makes a new one in a folder that is not there yet, and gives it power. */
  static async make(place: string, options: string): Promise<PowerDisk> {
    const disk = new PowerDisk(place, options);
    for (const folder of [place, disk.folder, disk.fuseFolder]) mkdirSync(folder);
    writeFileSync(disk.raw, '');
    truncateSync(disk.raw, SIZE_BYTES);
    // All of it now: what would be written later, by the kernel itself, only costs time.
    const whole = 'lazy_itable_init=0,lazy_journal_init=0';
    await succeed('mkfs.ext4', '-q', '-F', '-E', whole, disk.raw);
    try {
      await disk.powerOn();
    } catch (error) {
      await disk.release();
      throw error;
    }
    return disk;
  }

  private get raw(): string {
    return join(this.place, `${this.generation}.raw`);
  }

  private get fuseFolder(): string {
    return join(this.place, 'fuse');
  }

  /** The power fails: at once, whatever is under way. What still runs on it sees a dead disk. */
  fail(): void {
    this.kit?.kill('SIGKILL');
  }

  /**
   * To be called when nothing runs on it any more: takes the dead disk away, and gives power to a
   * copy of what is left of it. The one before is kept until the next time.
   */
  async powerOnAgain(): Promise<void> {
    await this.takeAway();
    const left = this.raw;
    rmSync(join(this.place, `${this.generation - 1}.raw`), { force: true });
    this.generation += 1;
    await succeed('cp', '--sparse=always', '--reflink=auto', left, this.raw);
    await this.powerOn();
  }

  /** Takes away whatever is there, as far as it can. */
  async release(): Promise<void> {
    this.fail();
    await this.takeAway();
  }

  private async powerOn(): Promise<void> {
    const socket = join(this.place, 'nbd.sock');
    rmSync(socket, { force: true });
    const cached = ['--filter=cache', 'file', this.raw, 'cache=writeback'];
    this.kit = begin('nbdkit', ['-f', '-U', socket, ...cached], FOREVER);
    await this.untilThere(socket, this.kit);
    this.fuse = begin('nbdfuse', ['-C', '4', this.fuseFolder, `nbd+unix:///?socket=${socket}`], {
      ...FOREVER,
    });
    const file = join(this.fuseFolder, 'nbd');
    await this.untilThere(file, this.fuse);
    // Past the page cache, which would keep what the disk has lost.
    this.loop = (await succeed('losetup', '-f', '--show', '--direct-io=on', file)).trim();
    await succeed('mount', '-t', 'ext4', '-o', this.options, this.loop, this.folder);
    this.mounted = true;
  }

  private async takeAway(): Promise<void> {
    if (this.mounted) await this.unmount(this.folder);
    this.mounted = false;
    if (this.loop !== undefined) await run('losetup', ['-d', this.loop], { timeoutMs: STEP_MS });
    this.loop = undefined;
    if (this.fuse) {
      await this.unmount(this.fuseFolder);
      this.fuse.kill('SIGKILL');
      await this.fuse.finished;
    }
    this.fuse = undefined;
    this.kit?.kill('SIGKILL');
    await this.kit?.finished;
    this.kit = undefined;
  }

  private async unmount(folder: string): Promise<void> {
    const { code } = await run('umount', [folder], { timeoutMs: STEP_MS });
    if (code !== 0) await run('umount', ['-l', folder], { timeoutMs: STEP_MS });
  }

  private async untilThere(path: string, program: Running): Promise<void> {
    let ended: string | undefined;
    void program.finished.then(({ said }) => {
      ended = said;
    });
    const end = Date.now() + STEP_MS;
    while (!existsSync(path)) {
      if (ended !== undefined) throw new Error(`${path} is not there: ${ended}`);
      if (Date.now() > end) throw new Error(`${path} does not come`);
      await sleep(LOOK_AGAIN_MS);
    }
  }
}
