/** The README is what scripts are written against: it lists every code and every state. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { EXIT_CODES } from '../../src/cli/exit-codes.ts';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const readme = readFileSync(join(root, 'README.md'), 'utf8');

/** The members of a union of texts, as the source has it. */
function membersOf(type: string): string[] {
  const source = readFileSync(join(root, 'src', 'node', 'answers.ts'), 'utf8');
  const [, body = ''] = new RegExp(`export type ${type} =([^;]*);`).exec(source) ?? [];
  return Array.from(body.matchAll(/'([a-z-]+)'/g), ([, member = '']) => member);
}

describe('the README', () => {
  test('lists every error code with its exit code, and no other', () => {
    const rows = Array.from(readme.matchAll(/^\| `(E_\w+)` \| (\d+) \|/gm));
    const listed = rows.map(([, code = '', exit = '']) => [code, Number(exit)] as const);
    expect(Object.fromEntries(listed)).toEqual(EXIT_CODES);
  });

  test.each([
    ['SetState', 10],
    ['PairState', 6],
    ['MigrationState', 6],
    ['MigrationMode', 3],
    ['MigrationCopy', 2],
  ])('lists every %s', (type, count) => {
    const members = membersOf(type);
    expect(members).toHaveLength(count);
    for (const member of members) expect(readme).toContain(`| \`${member}\` |`);
  });

  test('lists every state of a set behind a path controller', () => {
    const source = readFileSync(join(root, 'src', 'node', 'path-service.ts'), 'utf8');
    const [, states = ''] = /readonly state: ([^;]*);/.exec(source) ?? [];
    const members = Array.from(states.matchAll(/'([a-z]+)'/g), ([, member = '']) => member);
    expect(members).toHaveLength(4);
    for (const member of members) expect(readme).toContain(`| \`${member}\` |`);
  });

  test('links to files that are there', () => {
    const links = Array.from(readme.matchAll(/\]\(([^)]+)\)/g), ([, link = '']) => link);
    expect(links.length).toBeGreaterThan(5);
    for (const link of links) expect(() => readFileSync(join(root, link))).not.toThrow();
  });

  test('names every dependency', () => {
    const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<
      'dependencies' | 'devDependencies' | 'optionalDependencies',
      Record<string, string>
    >;
    const names = Object.keys({
      ...manifest.dependencies,
      ...manifest.devDependencies,
      ...manifest.optionalDependencies,
    });
    const plain = names.filter((name) => !/^@types\/|^@jest\/|^@oclif\/plugin/.test(name));
    for (const name of plain) expect(readme).toContain(`\`${name}\``);
  });
});
