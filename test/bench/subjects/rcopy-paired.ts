/** A daemon whose secondary, another daemon on the same machine, follows. */
import { join } from 'node:path';
import { rcopyJson } from '../../support/daemons.ts';
import type { Subject } from '../subject.ts';
import { serveSet, untilApplied } from './rcopy.ts';

const PATIENCE = '120s';

export const rcopyPaired: Subject = {
  name: 'rcopy, paired',
  programs: [],
  start: async (folder, sizeBytes) => {
    const primary = await serveSet(join(folder, 'tokyo'), sizeBytes);
    const secondary = await serveSet(join(folder, 'sapporo'), sizeBytes);
    await rcopyJson('pair', 'create', primary.address, secondary.address, '--wait');
    return {
      uri: primary.uri,
      pids: [primary.daemon.pid, secondary.daemon.pid],
      settle: async () => {
        await rcopyJson('wait', primary.address, '--synced', '--timeout', PATIENCE);
        await untilApplied(primary.address);
      },
      stop: async () => {
        await primary.daemon.stop();
        await secondary.daemon.stop();
      },
    };
  },
};
