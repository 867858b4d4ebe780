/** Review: takeovers; titles say what should hold. */
import { describe, expect, test } from '@jest/globals';
import { A, B, MIGRATE, Sites } from '../support/sites.ts';

describe('a sealed source that took over by force', () => {
  async function tookOver() {
    const sites = new Sites({ syncMs: 1 });
    const { a } = await sites.paired();
    const b = await sites.create(B);
    await sites.drive(b.migrate({ ...MIGRATE, copy: 'pre', detach: true }));
    await sites.crash(B, 'lose');
    sites.away.add(B);
    await sites.drive(a.takeOver({ force: true }));
    return a;
  }

  test('[R10] is not called healthy, nor its secondary usable: nothing is sent to it', async () => {
    const a = await tookOver();
    expect(a.set.file.pair?.state).toBe('takeover');
    expect(a.status().health.healthy).toBe(false);
    expect(a.status().pair?.usable).not.toBe(true);
  });

  test('keeps no map of what changed for a migration that is over', async () => {
    const a = await tookOver();
    expect(a.set.file.migration).toBeNull();
    expect(a.set.file.maps).toEqual([]);
  });
});

test('a former primary that was away at the end of a planned takeover is told when the command is repeated', async () => {
  const sites = new Sites({ syncMs: 1 });
  const { a, c } = await sites.paired();
  const taken = c.takeOver({ force: false });
  await sites.clock.run(() => c.set.file.role === 'primary');
  sites.away.add(A);
  sites.cutLinks(A);
  await sites.drive(taken);
  sites.away.delete(A);
  await sites.drive(c.takeOver({ force: false }));
  expect(a.set.file.role).toBe('retired');
});

test('[R10] a set that took over is not told to replicate, which is refused', async () => {
  const sites = new Sites();
  const { c } = await sites.paired();
  await sites.drive(c.takeOver({ force: false }));
  expect(c.status().health.next ?? '').not.toMatch(/replicate/);
});
