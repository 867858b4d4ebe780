/** A daemon with a set that is in no pair: a journal, and no copy. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StatusAnswer } from '../../../src/node/answers.ts';
import { DaemonProcess, rcopyJson } from '../../support/daemons.ts';
import { succeed } from '../programs.ts';
import { secondsOf } from '../subject.ts';
import type { Subject } from '../subject.ts';

export const VOLUME = 'volume';
const LOOK_AGAIN_MS = 100;

/** A daemon over a new set. */
export interface ServedSet {
  readonly daemon: DaemonProcess;
  readonly address: string;
  readonly uri: string;
}

export async function serveSet(folder: string, sizeBytes: number): Promise<ServedSet> {
  const socket = `${folder}.sock`;
  await rcopyJson('create', folder, '--volume', `${VOLUME}=${sizeBytes}`);
  const words = ['--listen', '127.0.0.1:0', '--nbd', `unix:${socket}`, '--log-level', 'info'];
  const daemon = new DaemonProcess(folder, ...words);
  const { address } = await daemon.ready;
  return { daemon, address: String(address), uri: `nbd+unix:///${VOLUME}?socket=${socket}` };
}

/** Resolves when everything that hosts wrote is in the set's images. */
export async function untilApplied(address: string): Promise<void> {
  for (;;) {
    const { journal } = await rcopyJson<StatusAnswer>('status', address);
    if (journal.appliedSequence >= journal.nextSequence - 1) return;
    await sleep(LOOK_AGAIN_MS);
  }
}

export const rcopy: Subject = {
  name: 'rcopy',
  programs: [],
  start: async (folder, sizeBytes) => {
    const set = await serveSet(join(folder, 'tokyo'), sizeBytes);
    return {
      uri: set.uri,
      pids: [set.daemon.pid],
      settle: () => untilApplied(set.address),
      stop: async () => void (await set.daemon.stop()),
    };
  },
  /** Of `rcopy pair create --wait`, from typing it to its end: the secondary is durable then. */
  firstCopy: async (folder, image, sizeBytes) => {
    const primary = await serveSet(join(folder, 'osaka'), sizeBytes);
    await succeed('nbdcopy', [image, primary.uri]);
    await untilApplied(primary.address);
    const secondary = await serveSet(join(folder, 'kyoto'), sizeBytes);
    const seconds = await secondsOf(() =>
      rcopyJson('pair', 'create', primary.address, secondary.address, '--wait'),
    );
    await primary.daemon.stop();
    await secondary.daemon.stop();
    return seconds;
  },
};
