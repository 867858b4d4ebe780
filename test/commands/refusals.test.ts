// What commands refuse: each with its exit code, one line that says why, and a way on.
import { cpSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { rcopy, rcopyJson, scratch } from './harness.ts';
import type { Outcome } from './harness.ts';

const folder = scratch();
const at = (name: string): string => join(folder, name);
const [tokyo, osaka, kyoto, single] = [at('tokyo'), at('osaka'), at('kyoto'), at('single')];
const JOURNAL = ['--journal-size', '128M'];

/** A failure in its one form: nothing on stdout, one line and perhaps a hint on stderr. */
function expectRefusal(outcome: Outcome, code: number, message: RegExp): void {
  const { stderr, stdout } = outcome;
  expect({ code: outcome.code, stdout }).toEqual({ code, stdout: '' });
  expect(stderr).toMatch(/^error: [^\n]+\n(hint: {2}[^\n]+\n)?$/);
  expect(stderr).toMatch(message);
}

beforeAll(async () => {
  await rcopyJson('create', tokyo, '--volume', 'db=1M', '--volume', 'log=1M', ...JOURNAL);
  await rcopyJson('pair', 'create', tokyo, osaka, '--create', '--wait');
  await rcopyJson('create', single, '--volume', 'db=1M', ...JOURNAL);
  await rcopyJson('create', kyoto, '--volume', 'db=1M', '--volume', 'log=1M', ...JOURNAL);
  writeFileSync(at('small'), 'small');
  writeFileSync(at('large'), Buffer.alloc(2 * 1024 ** 2));
});

describe('wrong usage ends with 2', () => {
  const toDb = ['write', tokyo, '--volume', 'db'];
  test.each([
    ['a missing set', ['write', '--offset', '0', '--data', 'x'], /missing SET/],
    ['a missing flag', [...toDb, '--data', 'x'], /missing --offset/],
    ['an unknown flag', [...toDb, '--offset', '0', '--dta', 'x'], /unknown flag --dta/],
    ['an argument too many', ['status', tokyo, '--nope'], /unknown flag --nope/],
    ['a second set', ['verify', tokyo, osaka], /unexpected argument/],
    ['an empty set', ['status', ''], /empty path/],
    ['a negative offset', [...toDb, '--offset', '-1', '--data', 'x'], /--offset: -1 is below 0/],
    ['an unknown unit', [...toDb, '--offset', '12Q', '--data', 'x'], /unknown unit Q/],
    ['an exponent', [...toDb, '--offset', '1e3', '--data', 'x'], /'1e3' is not a size/],
    ['hexadecimal', [...toDb, '--offset', '0x10', '--data', 'x'], /'0x10'/],
    ['an empty offset', [...toDb, '--offset', '', '--data', 'x'], /an empty size/],
    ['no data', [...toDb, '--offset', '0', '--data', ''], /nothing to write/],
    [
      'two sources',
      [...toDb, '--offset', '0', '--data', 'x', '--file', at('small')],
      /--file and --data exclude each other/,
    ],
    ['a folder as file', [...toDb, '--offset', '0', '--file', folder], /not a regular file/],
    ['one volume of two', ['write', tokyo, '--offset', '0', '--data', 'x'], /several volumes/],
    [
      'a name that is none',
      ['write', tokyo, '--volume', '../db', '--offset', '0', '--data', 'x'],
      /not a name/,
    ],
    ['a write at the end', [...toDb, '--offset', '1M', '--data', 'x'], /leave/],
    ['a write across the end', [...toDb, '--offset', '1048572', '--data', 'hello'], /leave/],
    [
      'a read across the end',
      ['read', tokyo, '--volume', 'db', '--offset', '1M', '--length', '1'],
      /leave/,
    ],
    ['a set without volumes', ['create', at('new')], /missing --volume/],
    ['a volume without size', ['create', at('new'), '--volume', 'db'], /has no size/],
    ['a volume of nothing', ['create', at('new'), '--volume', 'db=0'], /no bytes/],
    ['half a sector', ['create', at('new'), '--volume', 'db=100'], /multiple of 512/],
    [
      'one name twice',
      ['create', at('new'), '--volume', 'a=1M', '--volume', 'a=1M'],
      /volume a is named twice/,
    ],
    [
      'a journal too small',
      ['create', at('new'), '--volume', 'a=1M', '--journal-size', '1M'],
      /journal/,
    ],
    [
      'an unknown policy',
      ['create', at('new'), '--volume', 'a=1M', '--journal-full', 'drop'],
      /--journal-full drop: it takes only slow, map/,
    ],
    [
      'an unknown mode',
      ['migrate', tokyo, kyoto, '--mode', 'magic'],
      /--mode magic: it takes only drain, handoff, bitmap/,
    ],
    ['an unknown copy', ['migrate', tokyo, kyoto, '--copy', 'now'], /it takes only post, pre/],
    ['a pair without its address', ['pair', 'address', tokyo], /missing ADDRESS/],
    ['an empty address', ['pair', 'address', tokyo, ''], /empty path/],
    ['nothing to wait for', ['wait', tokyo], /exactly one of/],
    ['two things to wait for', ['wait', tokyo, '--synced', '--mark', 'a'], /exactly one of/],
    ['a number that is none', ['wait', tokyo, '--sequence', '-3'], /--sequence: '-3'/],
    ['a time without unit', ['replicate', tokyo, '--timeout', '5'], /5 has no unit/],
    ['a rate of nothing', ['replicate', tokyo, '--max-rate', '0'], /never end/],
    ['a lock wait', ['status', tokyo, '--lock-wait', 'soon'], /'soon' is not a time/],
    ['a mark that is no name', ['mark', tokyo, 'a b'], /not a name/],
  ])('%s', async (_what, words, message) => {
    expectRefusal(await rcopy(...words), 2, message);
  });

  test('raw bytes as JSON', async () => {
    const words = ['read', single, '--offset', '0', '--length', '1', '--json'];
    const { code, stdout, stderr } = await rcopy(...words);
    expect({ code, stderr }).toEqual({ code: 2, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'E_USAGE' } });
  });
});

describe('what is not there ends with 3', () => {
  test.each([
    ['a set', ['status', at('nowhere')], /nowhere/],
    ['a set in a file', ['status', at('small')], /small/],
    ['a set in a folder of something else', ['status', folder], /not an image set/],
    [
      'a volume',
      ['read', tokyo, '--volume', 'nope', '--offset', '0', '--length', '1'],
      /no volume nope/,
    ],
    ['a file to write', ['write', single, '--offset', '0', '--file', at('none')], /does not exist/],
    ['an image', ['import', single, '--file', at('none')], /none/],
    ['a mark', ['wait', tokyo, '--mark', 'none'], /no mark none/],
    ['a set to compare with', ['verify', single, '--against', at('nowhere')], /nowhere/],
    ['a set to look into', ['inspect', at('nowhere')], /nowhere/],
    ['a journal to look into', ['inspect', 'journal', at('nowhere')], /nowhere/],
    ['a file to look into', ['inspect', 'file', at('nowhere')], /nowhere/],
    ['a secondary', ['pair', 'create', single, at('nowhere')], /nowhere/],
    ['a target', ['migrate', tokyo, at('nowhere')], /nowhere/],
    ['a folder to adopt', ['adopt', at('nowhere')], /nowhere/],
    ['a pair to split', ['pair', 'split', at('nowhere')], /nowhere/],
    ['a secondary to promote', ['takeover', at('nowhere'), '--force'], /nowhere/],
    ['a folder for the output', ['export', single, '--output', at('no/where')], /no\/where/],
  ])('%s', async (_what, words, message) => {
    expectRefusal(await rcopy(...words), 3, message);
  });
});

describe('what the present state does not allow ends with 5', () => {
  test.each([
    ['a host write to a secondary', ['write', osaka, '--volume', 'db'], /secondary/],
    ['an import into one', ['import', osaka, '--volume', 'db', '--file', at('small')], /secondary/],
    ['a mark on one', ['mark', osaka, 'now'], /secondary/],
    ['replicating from one', ['replicate', osaka], /no primary but a secondary/],
    ['ending its pair', ['pair', 'delete', osaka], /its primary ends the pair/],
    ['replicating without a pair', ['replicate', single], /pair/],
    ['waiting without a pair', ['wait', single, '--synced'], /pair/],
    ['splitting no pair', ['pair', 'split', single], /single has no pair/],
    ['resyncing no pair', ['pair', 'resync', single], /single has no pair/],
    ['the address of no pair', ['pair', 'address', single, osaka], /single has no pair/],
    ['splitting at the secondary', ['pair', 'split', osaka], /ask its primary: .*tokyo/],
    ['resyncing at the secondary', ['pair', 'resync', osaka], /ask its primary: .*tokyo/],
    ['a takeover by a primary', ['takeover', tokyo], /tokyo is no secondary but a primary/],
    ['by force, too', ['promote', tokyo, '--force'], /tokyo is no secondary but a primary/],
    ['giving up no source', ['migrate', 'resume', kyoto, '--source-lost'], /not the target/],
    ['a second pair', ['pair', 'create', tokyo, kyoto], /paired with osaka already/],
    ['a pair with itself', ['pair', 'create', single, single, '--overwrite'], /its own secondary/],
    ['a migration the wrong way round', ['migrate', kyoto, tokyo], /the arguments swapped|pair/],
    ['a migration without a pair', ['migrate', single, kyoto], /pair/],
    ['a migration onto the secondary', ['migrate', tokyo, osaka], /used before/],
    ['a migration onto itself', ['migrate', tokyo, tokyo], /same set/],
    ['a target with other volumes', ['migrate', tokyo, single], /tokyo has .* single/],
    ['going on with no migration', ['migrate', 'resume', kyoto], /not the target of a migration/],
    ['ending no migration', ['migrate', 'abort', kyoto], /not the target of a migration/],
    ['making a set where one is', ['create', tokyo, '--volume', 'db=1M'], /not empty/],
    ['making a set over a file', ['create', at('small'), '--volume', 'db=1M'], /small/],
    ['an image that is too large', ['import', single, '--file', at('large')], /2097152 bytes/],
  ])('%s', async (_what, words, message) => {
    const all = words[0] === 'write' ? [...words, '--offset', '0', '--data', 'x'] : words;
    expectRefusal(await rcopy(...all), 5, message);
  });

  test('a pair the wrong way round', async () => {
    expectRefusal(await rcopy('pair', 'create', osaka, tokyo), 5, /no primary but a secondary/);
  });

  test('a refused migration has not overwritten its target', async () => {
    await rcopyJson('create', at('full'), '--volume', 'db=1M', ...JOURNAL);
    await rcopyJson('write', at('full'), '--offset', '0', '--data', 'precious');
    expectRefusal(await rcopy('migrate', single, at('full'), '--overwrite'), 5, /pair/);
    const read = await rcopy('read', at('full'), '--offset', '0', '--length', '8');
    expect(read.stdout).toBe('precious');
  });

  test('a refused pair has not overwritten its secondary', async () => {
    await rcopyJson('create', at('rich'), '--volume', 'db=1M', '--volume', 'log=1M', ...JOURNAL);
    await rcopyJson('write', at('rich'), '--volume', 'db', '--offset', '0', '--data', 'precious');
    expectRefusal(
      await rcopy('pair', 'create', osaka, at('rich'), '--overwrite'),
      5,
      /secondary|paired/,
    );
    const words = ['read', at('rich'), '--volume', 'db', '--offset', '0', '--length', '8'];
    expect((await rcopy(...words)).stdout).toBe('precious');
  });

  test('a dry run lists every reason at once', async () => {
    const { code, stdout, stderr } = await rcopy('migrate', single, osaka, '--dry-run');
    expect(code).toBe(5);
    expect(stdout).toMatch(/^✗ not ready\n/);
    expect(stdout.match(/✗ {2}/g)?.length).toBeGreaterThanOrEqual(3);
    expect(stderr).toBe('error: the migration cannot start now\n');
    const json = await rcopy('migrate', single, osaka, '--dry-run', '--json');
    expect(json.code).toBe(5);
    expect(JSON.parse(json.stdout)).toMatchObject({ ready: false, error: { code: 'E_STATE' } });
  });

  test('a copied folder is not the set, until it is adopted', async () => {
    cpSync(single, at('copy'), { recursive: true });
    expectRefusal(await rcopy('status', at('copy')), 5, /copy/);
    expect(await rcopyJson('adopt', at('copy'))).toEqual({ changed: true, set: at('copy') });
    expect(await rcopyJson('status', at('copy'))).toMatchObject({ health: { healthy: true } });
  });
});

describe('the other codes', () => {
  test('damage ends with 6', async () => {
    await rcopyJson('create', at('torn'), '--volume', 'db=1M', ...JOURNAL);
    writeFileSync(join(at('torn'), 'set.json'), '{"format":"rcopy image set","version":1}\n');
    expectRefusal(await rcopy('status', at('torn')), 6, /set\.json/);
    writeFileSync(join(at('torn'), 'set.json'), '{"format":"rcopy image set","version":99}\n');
    expectRefusal(await rcopy('status', at('torn')), 6, /version/);
  });

  test('a peer that is out of reach ends with 7', async () => {
    const [here, there] = [at('here'), at('there')];
    await rcopyJson('create', here, '--volume', 'db=1M', ...JOURNAL);
    await rcopyJson('pair', 'create', here, there, '--create');
    renameSync(there, at('elsewhere'));
    expectRefusal(await rcopy('replicate', here), 7, /there/);
    expectRefusal(await rcopy('status', 'rcopy://127.0.0.1:1'), 7, /127\.0\.0\.1:1/);
  });

  test('in JSON a failure is one object on stdout, and nothing else', async () => {
    const { code, stdout, stderr } = await rcopy('status', at('nowhere'), '--json');
    expect({ code, stderr }).toEqual({ code: 3, stderr: '' });
    expect(JSON.parse(stdout)).toEqual({
      error: {
        code: 'E_NOT_FOUND',
        message: expect.stringContaining('nowhere'),
        hint: expect.stringContaining('rcopy create'),
      },
    });
    const usage = await rcopy('status', '--json', '--nope');
    expect(usage.code).toBe(2);
    expect(JSON.parse(usage.stdout)).toMatchObject({ error: { code: 'E_USAGE' } });
  });

  test('a set that cannot be asked does not hide the others', async () => {
    const { code, stdout, stderr } = await rcopy('status', tokyo, at('nowhere'));
    expect({ code, stderr }).toEqual({ code: 3, stderr: '' });
    expect(stdout).toMatch(/tokyo/);
    expect(stdout).toMatch(/○ unknown .*nowhere/);
  });

  test('a stack only for those who ask', async () => {
    const { code, stderr } = await rcopy('status', at('nowhere'), '--verbose');
    expect(code).toBe(3);
    expect(stderr).toMatch(/\n {4}at .*\.ts:\d+/);
    expect(stderr).toMatch(/\nerror: /);
  });
});
