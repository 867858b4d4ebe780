/** The server qemu-nbd with a raw image, through the page cache as the others are. */
import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { serverAt } from '../subject.ts';
import type { Subject } from '../subject.ts';

/** Connections that it takes at once; nbdcopy makes four. */
const CLIENTS_MAX = '8';

export const qemuNbd: Subject = {
  name: 'qemu-nbd',
  programs: ['qemu-nbd'],
  start: async (folder, sizeBytes) => {
    const image = join(folder, 'volume.img');
    writeFileSync(image, '');
    truncateSync(image, sizeBytes);
    const socket = join(folder, 'nbd.sock');
    const words = ['-f', 'raw', '-t', '-e', CLIENTS_MAX, '--cache=writeback', '-x', 'volume'];
    const server = await serverAt(socket, 'qemu-nbd', [...words, '-k', socket, image]);
    return {
      uri: `nbd+unix:///volume?socket=${socket}`,
      pids: [server.pid],
      settle: async () => undefined,
      stop: () => server.stop(),
    };
  },
};
