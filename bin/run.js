#!/usr/bin/env node
// The installed `rcopy`: hands the command line to oclif, which loads the one command it names.
import { existsSync, readFileSync } from 'node:fs';

// Whoever read our results has gone (`rcopy … | head`): there is nobody left to tell.
process.stdout.on('error', (error) => {
  if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EPIPE') throw error;
  process.exit();
});
// Without a reader of notices the work itself still goes on.
process.stderr.on('error', (error) => {
  if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EPIPE') throw error;
});

const [word, ...more] = process.argv.slice(2);
if (word === '--version' && more.length === 0) {
  // Without loading anything: scripts ask for it to see whether rcopy is there.
  const { name, version } = JSON.parse(
    readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
  );
  const { platform, arch } = process;
  process.stdout.write(`${name}/${version} ${platform}-${arch} node-${process.version}\n`);
} else if (existsSync(new URL('../dist/commands', import.meta.url))) {
  // This entry of oclif starts faster than its main one.
  const { execute } = await import('@oclif/core/execute');
  await execute({ dir: import.meta.url });
} else {
  process.stderr.write('rcopy is not built yet: run `npm run build` in its folder first\n');
  process.exitCode = 1;
}
