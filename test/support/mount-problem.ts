// Whether this process may mount file systems on loop devices and FUSE, and why not.
import { accessSync, constants, readFileSync } from 'node:fs';

/** Bit 21 of a process' capabilities: it may mount. */
const CAP_SYS_ADMIN = 1n << 21n;

/** Why no file system can be mounted here; undefined when one can. */
export function mountProblem(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root';
  const status = readFileSync('/proc/self/status', 'utf8');
  const capabilities = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  if ((capabilities & CAP_SYS_ADMIN) === 0n) return 'needs the right to mount';
  for (const device of ['/dev/fuse', '/dev/loop-control', '/dev/loop0']) {
    try {
      accessSync(device, constants.R_OK | constants.W_OK);
    } catch {
      return `needs ${device}`;
    }
  }
  return undefined;
}
