// The contract of file systems, held by the real one and by the simulated disk.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nodeFiles } from '../../src/sys/node-files.ts';
import { SimulatedDisk } from '../sim/disk.ts';
import { describeFiles } from './files.contract.ts';

describeFiles('this machine', () => {
  const folder = mkdtempSync(join(tmpdir(), 'rcopy-files-'));
  return {
    files: nodeFiles,
    folder,
    dispose: () => rmSync(folder, { recursive: true }),
  };
});

describeFiles('a simulated disk', () => {
  const disk = new SimulatedDisk();
  disk.makeFolder('/work', 'TEST:PREPARE');
  return { files: disk, folder: '/work', dispose: () => undefined };
});
