/**
 * A file system and a database on the primary, through the kernel of this machine and a path
 * controller, while the primary moves to another set and back, and the secondary follows: whenever
 * the secondary is looked at, its image is one that a host could use.
 */
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from '@jest/globals';
import { rcopyJson } from '../commands/harness.ts';
import { mountProblem } from '../support/mount-problem.ts';
import { MountedExport } from '../support/mounted.ts';
import { begin, run, succeed, testWhere } from '../support/programs.ts';
import { ServedPair } from '../support/served-pair.ts';

const TEST_MS = 120_000;
const NAME = '[R1] [R4] ext4 and sqlite, while the primary moves from A to B and back to A';
const PROGRAMS = ['nbdfuse', 'losetup', 'mkfs.ext4', 'e2fsck', 'debugfs', 'python3', 'sqlite3'];

/**
 * Transactions of a few rows each, until its standard input ends. After each commit it prints how
 * many rows are committed, by its own count.
 */
const WORKLOAD = `
import os, random, select, sqlite3, sys
random.seed(4)
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA synchronous = FULL")
db.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, words TEXT)")
db.execute("CREATE INDEX by_words ON rows (words)")
ids, next_id = [], 0
while not select.select([sys.stdin], [], [], 0)[0]:
    db.execute("BEGIN")
    for _ in range(random.randint(1, 20)):
        db.execute("INSERT INTO rows VALUES (?, ?)", (next_id, os.urandom(200).hex()))
        ids.append(next_id); next_id += 1
    while len(ids) > 3000:
        db.execute("DELETE FROM rows WHERE id = ?", (ids.pop(random.randrange(len(ids))),))
    db.execute("UPDATE rows SET words = 'again ' || words WHERE id % 97 = ?", (next_id % 97,))
    db.execute("COMMIT")
    print(len(ids), flush=True)
db.close()
`;

let pair: ServedPair;
const problem = mountProblem();

beforeAll(async () => {
  if (problem !== undefined) return;
  pair = await ServedPair.start();
  await pair.make('osaka');
  await pair.serve('osaka');
  await pair.guard('gate', 'tokyo');
}, TEST_MS);

afterAll(async () => {
  if (problem === undefined) await pair.end();
});

/** What sqlite finds in the file system of an image, which nobody has mounted. */
async function rowsIn(image: string): Promise<number> {
  const folder = `${image}.files`;
  mkdirSync(folder);
  await succeed('debugfs', ['-R', `rdump / ${folder}`, image], { timeoutMs: TEST_MS });
  const ask = 'PRAGMA integrity_check; SELECT count(*) FROM rows;';
  const said = await succeed('sqlite3', [join(folder, 'rows.db'), ask], { timeoutMs: TEST_MS });
  const [integrity, count] = said.trim().split('\n');
  expect(integrity).toBe('ok');
  return Number(count);
}

/** The secondary is stopped in order, its image is looked at, and it goes on. */
async function rowsOnTheWay(): Promise<number> {
  expect(await pair.daemon('kyoto').stop()).toBe(0);
  const copy = pair.at('on-the-way.img');
  copyFileSync(pair.image('kyoto'), copy);
  await pair.serve('kyoto');
  // It is mounted at that moment, as a host's disk is when the power fails: its journal is played.
  const { code, said } = await run('e2fsck', ['-fy', copy], { timeoutMs: TEST_MS });
  expect(code > 1 ? said : '').toBe('');
  const again = await run('e2fsck', ['-fn', copy], { timeoutMs: TEST_MS });
  expect(again.code).toBe(0);
  return rowsIn(copy);
}

/** The set moves, and the database goes on there. */
async function moveWhileItCommits(
  from: string,
  to: string,
  counts: () => number[],
  ...how: string[]
): Promise<void> {
  const [source, target] = [await pair.address(from), await pair.address(to)];
  expect(await rcopyJson('migrate', source, target, ...how)).toMatchObject({ state: 'done' });
  const more = counts().length + 20;
  await pair.until('more commits', () => counts().length > more);
}

async function followedThroughout(): Promise<void> {
  const mounted = await MountedExport.make(pair.uri('gate'), pair.scratch);
  try {
    const words = ['-c', WORKLOAD, join(mounted.folder, 'rows.db')];
    const workload = begin('python3', words, { keepsInput: true, timeoutMs: TEST_MS });
    const counts = (): number[] => workload.output().trim().split('\n').map(Number);
    await pair.until('commits', () => counts().length > 30);
    const before = counts().length;
    await rcopyJson('wait', await pair.address('tokyo'), '--synced', '--timeout', '60s');
    const onTheWay = await rowsOnTheWay();
    await moveWhileItCommits('tokyo', 'osaka', counts);
    await moveWhileItCommits('osaka', 'tokyo', counts, '--overwrite', '--copy', 'pre');
    workload.endInput();
    const { code, said } = await workload.finished;
    expect(code === 0 ? '' : said).toBe('');
    // As many rows as after one of the commits that came after the wait had begun.
    expect(counts().slice(before - 1)).toContain(onTheWay);
    await mounted.unmount();

    await rcopyJson('wait', await pair.address('tokyo'), '--synced', '--timeout', '60s');
    for (const name of ['tokyo', 'kyoto']) expect(await pair.daemon(name).stop()).toBe(0);
    for (const name of ['tokyo', 'kyoto']) {
      const image = pair.image(name);
      const clean = await run('e2fsck', ['-fn', image], { timeoutMs: TEST_MS });
      expect(`${name}: ${clean.code === 0 ? 'clean' : clean.said}`).toBe(`${name}: clean`);
      expect(await rowsIn(image)).toBe(counts().at(-1));
    }
  } finally {
    await mounted.release();
  }
}

testWhere(problem, PROGRAMS, NAME, followedThroughout, TEST_MS);
