/**
 * Keeps the laws of the code's rooms over the whole tree, and shows on bad samples that each law
 * can be broken: a check that never fails keeps nothing.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import {
  problemsOfSources,
  problemsOfTestFolders,
  problemsOfText,
  ROOM_RANKS,
  type SourceFile,
} from './support/tidy.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** The .ts and .js files under a top-level folder; none when there is no such folder. */
function filesUnder(folder: string): SourceFile[] {
  return entriesUnder(folder)
    .filter((entry) => entry.isFile() && /\.[jt]s$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => ({
      path: relative(root, path).split(sep).join('/'),
      text: readFileSync(path, 'utf8'),
    }));
}

function foldersIn(folder: string): string[] {
  return entriesUnder(folder)
    .filter((entry) => entry.isDirectory() && entry.parentPath === join(root, folder))
    .map(({ name }) => name);
}

function entriesUnder(folder: string) {
  const top = readdirSync(root, { withFileTypes: true });
  if (!top.some(({ name }) => name === folder)) return [];
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true });
}

describe('the tree', () => {
  test('keeps the laws of imports and of what only sys may touch', () => {
    expect(problemsOfSources([...filesUnder('src'), ...filesUnder('commands')])).toEqual([]);
  });

  test('has lines of 100 characters and files that say what they are for', () => {
    const files = ['src', 'commands', 'bin', 'test'].flatMap((folder) => filesUnder(folder));
    expect(files.length).toBeGreaterThan(0);
    expect(files.flatMap((file) => problemsOfText(file))).toEqual([]);
  });

  test('has tests that mirror the sources', () => {
    const sources = [...foldersIn('src'), 'commands'];
    expect(problemsOfTestFolders(foldersIn('test'), sources)).toEqual([]);
  });

  test('names no package host in the lock file: that is a setting of npm', () => {
    const lock = readFileSync(join(root, 'package-lock.json'), 'utf8');
    const hosts = Array.from(
      lock.matchAll(/"resolved": "([a-z+]+:\/\/[^/"]+)/g),
      ([, host]) => host,
    );
    expect(hosts).toEqual([]);
  });
});

/** The problems of one file of a room, beside files that it may import. */
function problemsIn(path: string, text: string, ...others: SourceFile[]): string[] {
  return problemsOfSources([{ path, text }, ...others]);
}

describe('rooms', () => {
  test('an import from a lower room or from its own is fine', () => {
    const text = `
      import { a } from '../base/a.ts';
      import type { B } from './b.ts';
      export const c: B = a;`;
    expect(problemsIn('src/journal/c.ts', text)).toEqual([]);
  });

  test('commands may import from every room but a barrel', () => {
    const imports = Array.from(ROOM_RANKS.keys())
      .filter((room) => room !== 'commands')
      .map((room) => `import '../src/${room}/x.ts';`);
    expect(problemsIn('commands/status.ts', imports.join('\n'))).toEqual([]);
    expect(problemsIn('commands/status.ts', `import '../src/index.ts';`)).toEqual([
      'commands/status.ts: imports src/index.ts, which is in no room',
    ]);
  });

  test.each([
    ['a higher room', `import { a } from '../link/a.ts';`, 'link'],
    ['a room of the same rank', `import { a } from '../nbd/a.ts';`, 'nbd'],
    ['a higher room, for a type', `import type { A } from '../link/a.ts';`, 'link'],
    ['a higher room, inside a type', `type A = import('../link/a.ts').A;`, 'link'],
    ['a higher room, when needed', `const a = () => import('../link/a.ts');`, 'link'],
    ['a higher room, to pass it on', `export { a } from '../link/a.ts'; const b = 1;`, 'link'],
    ['a higher room, all of it', `export * from '../link/a.ts'; const b = 1;`, 'link'],
    ['a higher room, by require', `const a = require('../link/a.ts');`, 'link'],
    ['commands', `import a from '../../commands/a.ts';`, 'commands'],
  ])('an import from %s is found', (_from, text, room) => {
    expect(problemsIn('src/journal/c.ts', text)).toEqual([
      expect.stringContaining(`journal must not import from ${room}`),
    ]);
  });

  test('an import of something outside the rooms is found', () => {
    expect(problemsIn('src/cli/a.ts', `import '../../test/support/tidy.ts';`)).toEqual([
      'src/cli/a.ts: imports test/support/tidy.ts, which is in no room',
    ]);
  });

  test.each(['src/attic/a.ts', 'src/a.ts'])('%s is in no known room', (path) => {
    expect(problemsIn(path, '')).toEqual([`${path}: is in no known room`]);
  });

  test.each(['./b', './b.js', '../base/b.mjs'])('import %s does not name its .ts', (specifier) => {
    expect(problemsIn('src/journal/c.ts', `import { b } from '${specifier}';`)).toEqual([
      `src/journal/c.ts: import '${specifier}' does not name its .ts file`,
    ]);
  });
});

describe('cycles', () => {
  const b = { path: 'src/base/b.ts', text: `import { c } from './c.ts'; export const b = c;` };

  test('three files that import each other in a ring are found once', () => {
    const c = { path: 'src/base/c.ts', text: `import { a } from './a.ts'; export const c = a;` };
    const text = `import { b } from './b.ts'; export const a = b;`;
    expect(problemsIn('src/base/a.ts', text, b, c)).toEqual([
      `src/base/a.ts: imports itself: src/base/${['a', 'b', 'c', 'a'].join('.ts -> src/base/')}.ts`,
    ]);
  });

  test('a ring that a type closes is none at run time', () => {
    const c = {
      path: 'src/base/c.ts',
      text: `import type { B } from './b.ts'; export const c = 1;`,
    };
    expect(problemsOfSources([b, c])).toEqual([]);
  });

  test('two ways to the same file are no ring', () => {
    const c = { path: 'src/base/c.ts', text: 'export const c = 1;' };
    const text = `import { b } from './b.ts'; import { c } from './c.ts'; export const a = b + c;`;
    expect(problemsIn('src/base/a.ts', text, b, c)).toEqual([]);
  });
});

describe('barrels', () => {
  const barrel = `import { a } from './a.ts'; export { a }; export * from './b.ts';`;

  test('a file of only re-exports is found, except the public one', () => {
    expect(problemsIn('src/base/things.ts', barrel)).toEqual([
      'src/base/things.ts: only passes on what other files export',
    ]);
    expect(problemsIn('src/index.ts', `export * from './base/a.ts';`)).toEqual([]);
  });

  test('a file with something of its own is no barrel', () => {
    expect(problemsIn('src/base/things.ts', `${barrel} export const c = 1;`)).toEqual([]);
  });
});

describe('what only sys may touch', () => {
  test.each([
    ['node:fs', `import { readFileSync } from 'node:fs';`],
    ['fs', `import fs from 'fs';`],
    ['node:fs/promises', `import { open } from 'node:fs/promises';`],
    ['node:fs', `import type { Stats } from 'node:fs';`],
    ['node:net', `import { connect } from 'node:net';`],
    ['node:timers/promises', `import { setTimeout as sleep } from 'node:timers/promises';`],
    ['fs-extra', `const fs = await import('fs-extra');`],
    ['fs-native-extensions', `import { tryLock } from 'fs-native-extensions';`],
    ['setTimeout', `setTimeout(() => {}, 1);`],
    ['setTimeout', `globalThis.setTimeout(() => {}, 1);`],
    ['setInterval', `const every = { setInterval };`],
    ['setImmediate', `await new Promise((done) => setImmediate(done));`],
    ['Date.now', `const started = Date.now();`],
    ['Date.now', `const started = Date['now']();`],
    ['Date.now', `const { now } = Date;`],
    ['Date.now', 'const line = `at ${Date.now()}`;'],
    ['new Date()', `const started = new Date();`],
    ['Math.random', `const chance = Math.random;`],
    ['performance.now', `const started = globalThis.performance.now();`],
    ['process.hrtime', `const started = process.hrtime.bigint();`],
  ])('%s outside sys is found: %s', (name, text) => {
    for (const path of ['src/journal/a.ts', 'src/cli/a.ts', 'commands/a.ts']) {
      expect(problemsIn(path, text)).toEqual([`${path}: uses ${name}`]);
    }
    expect(problemsIn('src/sys/a.ts', text)).toEqual([]);
  });

  test.each([
    `// Date.now() and setTimeout() stay in sys`,
    `const text = 'console.log(Date.now())';`,
    `const pattern = /setTimeout\\('/;`,
    `clock.setTimeout(() => {}, 1);`,
    `interface Clock { setTimeout(milliseconds: number): void }`,
    `class Clock { setTimeout() { return new Date(0); } }`,
    `const clock = { setTimeout: 1, now: Date.parse('2020-01-01') };`,
    `process.stdout.write('done');`,
    `import { createServer } from 'node:http';`,
  ])('is not mistaken for: %s', (text) => {
    expect(problemsIn('src/cli/a.ts', text)).toEqual([]);
  });

  test('the console is found even in sys', () => {
    for (const text of [`console.log('here');`, `const { error } = console;`]) {
      expect(problemsIn('src/sys/a.ts', text)).toEqual(['src/sys/a.ts: uses console']);
    }
  });
});

describe('texts', () => {
  const opening = '// Says what it is for.\n';

  test('a line of 101 characters is found, one of 100 is not', () => {
    expect(problemsOfText({ path: 'a.ts', text: opening + 'é'.repeat(100) })).toEqual([]);
    expect(problemsOfText({ path: 'a.ts', text: opening + 'x'.repeat(101) })).toEqual([
      'a.ts:2: a line of 101 characters',
    ]);
  });

  test.each([
    opening,
    '/** Says what it is for. */',
    '/**\n * Says what it is for.\n */',
    '#!/usr/bin/env node\n// Says what it is for.',
  ])('%j says what the file is for', (text) => {
    expect(problemsOfText({ path: 'a.ts', text })).toEqual([]);
  });

  test.each([
    '',
    `import './a.ts';\n\n\n// Too late to say it.`,
    '//\nconst a = 1;',
    '// oxlint-disable no-console',
    '/**\n */',
  ])('%j says nothing', (text) => {
    expect(problemsOfText({ path: 'a.ts', text })).toHaveLength(1);
  });
});

describe('folders of tests', () => {
  test('one without a room is found; those with a purpose of their own are not', () => {
    expect(problemsOfTestFolders(['base', 'support', 'attic'], ['base', 'sys'])).toEqual([
      'test/attic: mirrors no folder of src/',
    ]);
  });
});
