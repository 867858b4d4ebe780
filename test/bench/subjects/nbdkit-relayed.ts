/** One nbdkit in front of another: what a way through one more process costs others. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { serverAt } from '../subject.ts';
import type { Subject } from '../subject.ts';
import { nbdkit } from './nbdkit.ts';

export const nbdkitRelayed: Subject = {
  name: 'nbdkit nbd + file',
  programs: ['nbdkit'],
  start: async (folder, sizeBytes) => {
    const behind = join(folder, 'behind');
    mkdirSync(behind);
    const file = await nbdkit.start(behind, sizeBytes);
    const socket = join(folder, 'front.sock');
    const words = ['-f', '-U', socket, 'nbd', `uri=${file.uri}`];
    const front = await serverAt(socket, 'nbdkit', words);
    return {
      uri: `nbd+unix:///?socket=${socket}`,
      pids: [...file.pids, front.pid],
      settle: () => file.settle(),
      stop: async () => {
        await front.stop();
        await file.stop();
      },
    };
  },
};
