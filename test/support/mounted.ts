/**
 * A file system on an NBD export, as this machine's kernel has it: ext4 on a loop device on the
 * file that nbdfuse makes of the export. It takes root, and what a container may lack.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { begin, run, succeed } from './programs.ts';
import type { Running } from './processes.ts';

const STEP_MS = 30_000;
const LOOK_AGAIN_MS = 50;

export class MountedExport {
  /** Where the file system is. */
  readonly folder: string;
  private readonly fuseFolder: string;
  private fuse: Running | undefined;
  private loop: string | undefined;
  private mounted = false;

  private constructor(scratch: string) {
    this.folder = join(scratch, 'mounted');
    this.fuseFolder = join(scratch, 'fuse');
  }

  /** Makes a new file system on the export, and mounts it. */
  static async make(uri: string, scratch: string): Promise<MountedExport> {
    const made = new MountedExport(scratch);
    try {
      await made.mount(uri);
    } catch (error) {
      await made.release();
      throw error;
    }
    return made;
  }

  /** In order: everything is written, and flushed. */
  async unmount(): Promise<void> {
    const options = { timeoutMs: STEP_MS };
    await succeed('umount', [this.folder], options);
    this.mounted = false;
    await succeed('losetup', ['-d', this.loop ?? ''], options);
    this.loop = undefined;
    await succeed('umount', [this.fuseFolder], options);
    await this.fuse?.finished;
    this.fuse = undefined;
  }

  /** Takes away whatever is there, as far as it can. */
  async release(): Promise<void> {
    const options = { timeoutMs: STEP_MS };
    if (this.mounted) await run('umount', ['-l', this.folder], options);
    if (this.loop !== undefined) await run('losetup', ['-d', this.loop], options);
    if (!this.fuse) return;
    await run('umount', ['-l', this.fuseFolder], options);
    this.fuse.kill('SIGKILL');
    await this.fuse.finished;
  }

  private async mount(uri: string): Promise<void> {
    mkdirSync(this.folder);
    mkdirSync(this.fuseFolder);
    this.fuse = begin('nbdfuse', ['-C', '4', this.fuseFolder, uri]);
    const file = join(this.fuseFolder, 'nbd');
    const end = Date.now() + STEP_MS;
    while (!existsSync(file)) {
      if (Date.now() > end) throw new Error('nbdfuse shows no file');
      await new Promise((resolve) => void setTimeout(resolve, LOOK_AGAIN_MS));
    }
    const options = { timeoutMs: STEP_MS };
    const direct = ['-f', '--show', '--direct-io=on', file];
    this.loop = (await succeed('losetup', direct, options)).trim();
    await succeed('mkfs.ext4', ['-q', '-F', this.loop], options);
    await succeed('mount', [this.loop, this.folder], options);
    this.mounted = true;
  }
}
