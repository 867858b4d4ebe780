/** The folder that the demo plays in: a new one that goes when it ends, or one that is kept. */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RcopyError, fileError } from '../../base/errors.ts';
import type { Environment } from '../../sys/environment.ts';

/** What a shell calls it: 128 and the signal's number. */
const HANGUP_EXIT_CODE = 129;

export interface Scratch {
  readonly folder: string;
  readonly kept: boolean;
  /** Removes the folder unless it is to be kept. */
  close(): void;
}

/** Makes the folder. Throws `E_NOT_EMPTY` when there is something in the one to keep. */
export function openScratch(environment: Environment, keep: string | undefined): Scratch {
  const { files, random } = environment;
  if (keep !== undefined) {
    const folder = files.resolve(keep);
    try {
      files.makeFolder(folder, 'DEMO:FOLDER');
      if (files.list(folder, 'DEMO:FOLDER').length > 0) {
        throw new RcopyError('E_NOT_EMPTY', `${keep} is not empty`, {
          hint: 'name a folder that is not there yet',
        });
      }
    } catch (error) {
      throw fileError('making the folder', keep, error);
    }
    return { folder, kept: true, close: () => undefined };
  }
  const folder = join(tmpdir(), `rcopy-demo-${Buffer.from(random.bytes(4)).toString('hex')}`);
  files.makeFolder(folder, 'DEMO:FOLDER');
  const close = (): void => files.remove(folder, 'DEMO:REMOVE');
  // Whatever still runs when the process is stopped may write a last time.
  process.once('exit', close);
  // The terminal is gone: nobody is left to see the rest.
  process.once('SIGHUP', () => process.exit(HANGUP_EXIT_CODE));
  return { folder, kept: false, close };
}
