// Runs before each test file: takes away what differs between machines and terminals.
import { Console } from 'node:console';

// jest's own console does not write to process.stdout, which is where tests capture output.
globalThis.console = new Console(process.stdout, process.stderr);

// Colours, widths and settings of whoever runs the tests must not show in what they compare.
process.env['NO_COLOR'] = '1';
process.env['OCLIF_COLUMNS'] = '100';
delete process.env['FORCE_COLOR'];
delete process.env['DEBUG'];
for (const name of Object.keys(process.env)) {
  if (name.startsWith('RCOPY_')) delete process.env[name];
}

// Jest asks for a hundred; thousands of errors are made where each flipped bit has to be refused.
Error.stackTraceLimit = 20;

// Under NODE_ENV=test oclif would look for a TypeScript compiler that it does not know.
(globalThis as { oclif?: { enableAutoTranspile: boolean } }).oclif = { enableAutoTranspile: false };

// Each test file loads oclif anew, and each load adds one listener to the one stdout of its worker:
// from the eleventh on Node would warn on stderr, into what a test captures.
process.stdout.setMaxListeners(Infinity);
