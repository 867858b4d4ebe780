/**
 * `nbdkit file`: an image file, with neither journal nor copy. What the others are compared to. A
 * copy between two of them is nbdcopy's, with a flush at its end.
 */
import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { succeed } from '../programs.ts';
import { secondsOf, serverAt } from '../subject.ts';
import type { Subject } from '../subject.ts';

export const nbdkit: Subject = {
  name: 'nbdkit file',
  programs: ['nbdkit', 'nbdcopy'],
  start: async (folder, sizeBytes) => {
    const image = join(folder, 'volume.img');
    makeImage(image, sizeBytes);
    const { uri, pid, stop } = await serve(join(folder, 'nbd.sock'), image);
    return { uri, pids: [pid], settle: async () => undefined, stop };
  },
  firstCopy: async (folder, image, sizeBytes) => {
    const target = join(folder, 'copy.img');
    makeImage(target, sizeBytes);
    const from = await serve(join(folder, 'from.sock'), image);
    const to = await serve(join(folder, 'to.sock'), target);
    const words = ['--flush', '--destination-is-zero', from.uri, to.uri];
    const seconds = await secondsOf(() => succeed('nbdcopy', words));
    await from.stop();
    await to.stop();
    return seconds;
  },
};

function makeImage(path: string, sizeBytes: number): void {
  writeFileSync(path, '');
  truncateSync(path, sizeBytes);
}

async function serve(socket: string, image: string) {
  const { pid, stop } = await serverAt(socket, 'nbdkit', ['-f', '-U', socket, 'file', image]);
  return { uri: `nbd+unix:///?socket=${socket}`, pid, stop };
}
