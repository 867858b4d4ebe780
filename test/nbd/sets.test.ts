/** Volumes of real sets over NBD in each of their roles: what hosts may do there, and what not. */
import { describe, expect, test } from '@jest/globals';
import { RcopyError } from '../../src/base/errors.ts';
import { NbdServer } from '../../src/nbd/server.ts';
import type { StorageNode } from '../../src/node/storage-node.ts';
import { memoryStreamPair } from '../../src/sys/memory-stream.ts';
import { seededRandom } from '../sim/random.ts';
import { flush, pattern, write } from '../support/image-sets.ts';
import { CMD, HandClient } from '../support/nbd-hand.ts';
import type { RequestWords } from '../support/nbd-hand.ts';
import { A, B, C, Sites } from '../support/sites.ts';

const EPERM = 1;
const EIO = 5;
const ESHUTDOWN = 108;

/** A host at the first volume of a set. */
function hostAt(sites: Sites, { set }: StorageNode): HandClient {
  const [device] = set.volumes;
  if (!device) throw new Error('no volume');
  const db = { name: 'db', description: '', device };
  const exports = { list: () => [db], find: () => db };
  const server = new NbdServer({ clock: sites.clock, exports });
  const [ours, theirs] = memoryStreamPair(sites.clock, seededRandom(1));
  server.accept(theirs);
  return new HandClient(ours, sites.clock).enter('db', { allocation: true });
}

/** The answer to one request, which may take the set some time. */
async function ask(sites: Sites, host: HandClient, command: number, words: RequestWords) {
  host.request(command, words);
  await sites.clock.pass(100);
  const [reply] = host.replies();
  if (reply?.cookie !== words.cookie) throw new Error('no answer');
  return reply;
}

/** Each command on the first sector. */
async function errors(sites: Sites, host: HandClient): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const [name, command] of Object.entries(CMD)) {
    if (command === CMD.DISC) continue;
    const payload = command === CMD.WRITE ? pattern(1, 512) : Buffer.alloc(0);
    const length = command === CMD.FLUSH ? 0 : 512;
    found[name] = (await ask(sites, host, command, { cookie: command, length, payload })).errno;
  }
  return found;
}

const ALL_WELL = {
  READ: 0,
  WRITE: 0,
  FLUSH: 0,
  TRIM: 0,
  CACHE: 0,
  WRITE_ZEROES: 0,
  BLOCK_STATUS: 0,
};

const ALL_OVER = Object.fromEntries(Object.keys(ALL_WELL).map((name) => [name, ESHUTDOWN]));

describe('a host over NBD', () => {
  test('may do everything at a primary', async () => {
    const sites = new Sites();
    const { a } = await sites.paired();
    expect(await errors(sites, hostAt(sites, a))).toEqual(ALL_WELL);
    await sites.closeAll();
  });

  test('may only look at a secondary, and sees what it has restored', async () => {
    const sites = new Sites();
    const { c } = await sites.paired();
    await sites.write(A, write(0, 0, 4096, 7));
    await sites.flush(A);
    await sites.replicate(A);
    await sites.clock.pass(1000);
    const host = hostAt(sites, c);
    const { data } = await ask(sites, host, CMD.READ, { cookie: 1, length: 4096 });
    expect(data.subarray(8).equals(pattern(7, 4096))).toBe(true);
    expect(await errors(sites, host)).toMatchObject({
      READ: 0,
      CACHE: 0,
      BLOCK_STATUS: 0,
      WRITE: EPERM,
      TRIM: EPERM,
      WRITE_ZEROES: EPERM,
    });
    await sites.closeAll();
  });

  test('[R4] may do nothing more at a set that handed over, not even look', async () => {
    const sites = new Sites();
    const { a } = await sites.paired();
    const host = hostAt(sites, a);
    expect(await errors(sites, host)).toEqual(ALL_WELL);
    await sites.drive(flush(a.set));
    await sites.replicate(A);
    const b = await sites.create(B);
    await sites.migrate();
    expect(await errors(sites, host)).toEqual(ALL_OVER);
    expect(await errors(sites, hostAt(sites, b))).toEqual(ALL_WELL);
    expect(await sites.refusal(sites.open(C).then((c) => c.set.mark('late')))).toMatchObject({
      code: 'E_ROLE',
    });
    await sites.closeAll();
  });

  test('hears that a set was closed, or lost its disk', async () => {
    const sites = new Sites();
    const { a, c } = await sites.paired();
    const host = hostAt(sites, a);
    const other = hostAt(sites, c);
    a.set.fail(new RcopyError('E_IO', 'the disk is gone'));
    const lost = Object.fromEntries(Object.keys(ALL_WELL).map((name) => [name, EIO]));
    expect(await errors(sites, host)).toEqual(lost);
    await sites.drive(c.close());
    expect(await errors(sites, other)).toMatchObject({
      READ: ESHUTDOWN,
      CACHE: ESHUTDOWN,
      BLOCK_STATUS: ESHUTDOWN,
    });
  });
});
