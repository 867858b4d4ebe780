/** The same daemon as `rcopy`, and a path controller through which hosts reach it. */
import { join } from 'node:path';
import { PathProcess, rcopyJson } from '../../support/daemons.ts';
import type { Subject } from '../subject.ts';
import { VOLUME, serveSet, untilApplied } from './rcopy.ts';

export const rcopyGuarded: Subject = {
  name: 'rcopy, through a controller',
  programs: [],
  start: async (folder, sizeBytes) => {
    const set = await serveSet(join(folder, 'nara'), sizeBytes);
    const gate = await guard(join(folder, 'gate'), set.address);
    return {
      uri: gate.uri,
      pids: [set.daemon.pid, gate.process.pid],
      settle: () => untilApplied(set.address),
      stop: async () => {
        await gate.process.stop();
        await set.daemon.stop();
      },
    };
  },
};

/** A controller in `folder` that leads to the volume of a set. */
export async function guard(
  folder: string,
  address: string,
): Promise<{ readonly process: PathProcess; readonly uri: string }> {
  const socket = `${folder}.sock`;
  const process = new PathProcess(folder, '--nbd', `unix:${socket}`, '--log-level', 'info');
  await process.ready;
  await rcopyJson('path', 'add', folder, VOLUME, address);
  return { process, uri: `nbd+unix:///${VOLUME}?socket=${socket}` };
}
