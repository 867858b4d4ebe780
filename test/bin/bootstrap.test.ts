/**
 * What decides whether a clone must be installed or built before anything runs, and what
 * `bin/run.js` does at its edges: not built, and nobody left to read.
 */
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { buildProblem, digestOfInputs, installProblem, nodeProblem } from '../../bin/bootstrap.js';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
let folder = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rcopy-bootstrap-'));
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

function write(path: string, content: unknown): void {
  const target = join(folder, path);
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, typeof content === 'string' ? content : JSON.stringify(content));
}

describe('node', () => {
  test.each(['20.19.0', '20.19.1', '20.20.0', '22.0.0', '26.1.0-nightly'])(
    '%s will do',
    (found) => {
      expect(nodeProblem(found, '>=20.19.0')).toBeNull();
    },
  );

  test.each(['20.18.9', '18.20.0', '20.18.9-rc.1'])('%s is too old', (found) => {
    expect(nodeProblem(found, '>=20.19.0')).toBe(`node ${found} is too old: rcopy needs >=20.19.0`);
  });
});

describe('installed packages', () => {
  const one = { version: '1.0.0', integrity: 'sha512-one' };
  const elsewhere = { version: '2.0.0', integrity: 'sha512-two', optional: true };

  function install(locked: object, installed: object): string | null {
    write('package-lock.json', { packages: { '': { name: 'rcopy' }, ...locked } });
    write('node_modules/.package-lock.json', { packages: installed });
    return installProblem(folder);
  }

  test('nothing is installed, or an install was interrupted', () => {
    write('package-lock.json', { packages: {} });
    mkdirSync(join(folder, 'node_modules'));
    expect(installProblem(folder)).toBe('dependencies are not installed');
  });

  test('what the lock file says, without what is for other platforms', () => {
    expect(
      install(
        { 'node_modules/one': one, 'node_modules/two': elsewhere },
        {
          'node_modules/one': one,
        },
      ),
    ).toBeNull();
  });

  test.each([
    ['missing', {}],
    ['of another version', { 'node_modules/one': { ...one, version: '1.0.1' } }],
    ['of other content', { 'node_modules/one': { ...one, integrity: 'sha512-other' } }],
  ])('a package that is %s', (_how, installed) => {
    expect(install({ 'node_modules/one': one }, installed)).toBe(
      'node_modules/one is not as the lock file says',
    );
  });

  test('a package that the lock file no longer names', () => {
    expect(install({}, { 'node_modules/one': one })).toBe(
      'node_modules/one is not in the lock file',
    );
  });

  test('these packages, here and now', () => {
    expect(installProblem(root)).toBeNull();
  });
});

describe('the build', () => {
  beforeEach(() => {
    write('tsconfig.json', '{}');
    write('src/base/a.ts', 'export const a = 1;');
    write('commands/demo.ts', 'export const demo = 1;');
  });

  function stamp(): void {
    write('dist/.sources', digestOfInputs(folder));
  }

  test('is missing, then up to date', () => {
    expect(buildProblem(folder)).toBe('dist is not built');
    stamp();
    expect(buildProblem(folder)).toBeNull();
  });

  test.each([
    ['a source changes', () => write('src/base/a.ts', 'export const a = 2;')],
    ['a source is added', () => write('src/base/b.ts', '')],
    ['a source is deleted', () => rmSync(join(folder, 'commands/demo.ts'))],
    ['the settings change', () => write('tsconfig.json', '{ }')],
    ['the dependencies change', () => write('package-lock.json', '{}')],
  ])('is stale when %s', (_what, change) => {
    stamp();
    change();
    expect(buildProblem(folder)).toBe('dist is older than the sources');
  });

  test('does not look at what it does not read', () => {
    stamp();
    write('src/README.md', 'The rooms.');
    expect(buildProblem(folder)).toBeNull();
  });
});

describe('bin/run.js', () => {
  /** An installation with bin/run.js and a single command, `babble`, that never stops writing. */
  function installBabbler(): string {
    cpSync(join(root, 'bin', 'run.js'), join(folder, 'bin', 'run.js'));
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
    write('package.json', {
      name: 'rcopy',
      version: '0.0.0',
      type: 'module',
      oclif: { bin: 'rcopy', commands: './dist/commands' },
    });
    write(
      'dist/commands/babble.js',
      `export default class Babble {
        static id = 'babble';
        static async run() {
          process.stderr.write('started');
          for (;;) {
            process.stdout.write('x'.repeat(65536));
            await new Promise((done) => setTimeout(done, 1));
          }
        }
      }`,
    );
    return join(folder, 'bin', 'run.js');
  }

  test('says in one line that there is no build', () => {
    cpSync(join(root, 'bin', 'run.js'), join(folder, 'run.js'));
    write('package.json', { type: 'module' });
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(folder, 'run.js')], {
      encoding: 'utf8',
    });
    expect({ status, stdout, stderr }).toEqual({
      status: 1,
      stdout: '',
      stderr: 'rcopy is not built yet: run `npm run build` in its folder first\n',
    });
  });

  test('ends quietly when the reader of its output goes away', async () => {
    const child = spawn(process.execPath, [installBabbler(), 'babble'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let notices = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (notices += text));
    child.stdout.once('data', () => child.stdout.destroy());
    const [code, signal] = await new Promise<[number | null, string | null]>((done) => {
      child.on('close', (...ending) => done(ending));
    });
    expect({ code, signal, notices }).toEqual({ code: 0, signal: null, notices: 'started' });
  });

  test('goes on when only the reader of its notices goes away', async () => {
    const child = spawn(process.execPath, [installBabbler(), 'babble'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.stderr.destroy();
    let length = 0;
    await new Promise<void>((done) => {
      child.stdout.on('data', (part: Buffer) => {
        length += part.length;
        if (length > 2 ** 20) done();
      });
      child.on('close', () => done());
    });
    child.kill('SIGKILL');
    expect(length).toBeGreaterThan(2 ** 20);
  });
});
