/** Group commit: one sync serves all who asked before it began, and a failed one is the end. */
import { describe, expect, test } from '@jest/globals';
import { SYNC_BYTES, SYNC_INTERVAL_MS } from '../../src/base/limits.ts';
import type { Journal } from '../../src/journal/journal.ts';
import type { Run } from '../../src/journal/run.ts';
import { SimulatedClock } from '../sim/clock.ts';
import { SimulatedDisk } from '../sim/disk.ts';
import {
  filled,
  knownOf,
  openJournal,
  openRecord,
  reopenJournal,
  textOf,
  write,
} from '../support/journal-bench.ts';

/** A journal with an open run on a disk whose syncs end when the test says so. */
class SlowDisk {
  readonly clock = new SimulatedClock();
  readonly disk: SimulatedDisk;
  private holding = false;
  private readonly held: (() => void)[] = [];

  constructor() {
    this.disk = new SimulatedDisk({
      defer: (action) => {
        if (this.holding) this.held.push(action);
        else queueMicrotask(action);
      },
    });
  }

  async begin(): Promise<{ journal: Journal; run: Run }> {
    const journal = await openJournal(this.disk, { clock: this.clock });
    const run = journal.startRun(openRecord());
    await journal.sync();
    this.holding = true;
    return { journal, run };
  }

  /** Ends the oldest sync that is under way, and lets all that follows from it happen. */
  async endSync(): Promise<void> {
    this.held.shift()?.();
    await settled();
  }

  /** How many syncs are under way. */
  get underWay(): number {
    return this.held.length;
  }

  /** How many syncs of segments were begun. */
  get begun(): number {
    return this.disk.labels.get('JOURNAL:SYNC') ?? 0;
  }

  /** What a power loss now would leave of the run, given what was known to be durable. */
  async afterPowerLoss(run: Run): Promise<string> {
    this.holding = false;
    const journal = await reopenJournal(this.disk.survivors('lose', 0), { known: [knownOf(run)] });
    const [found] = journal.runs;
    return found ? textOf(found) : '';
  }
}

function settled(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

describe('one sync for many', () => {
  test('[R2] it serves everyone who asked before it began, and nobody else', async () => {
    const slow = new SlowDisk();
    const { journal, run } = await slow.begin();
    const before = slow.begun;
    write(journal, run, 'one');
    const first = journal.sync();
    write(journal, run, 'two');
    const answers: number[] = [];
    const later = [1, 2, 3].map(() => journal.sync().then(() => answers.push(run.durable)));
    await slow.endSync();
    await first;
    expect([run.durable, answers, slow.underWay]).toEqual([1, [], 1]);
    await slow.endSync();
    await Promise.all(later);
    expect(answers).toEqual([2, 2, 2]);
    expect(slow.begun - before).toBe(2);
  });

  test('[R2] whoever asks again at the very end of a sync lets nobody overtake it', async () => {
    const slow = new SlowDisk();
    const { journal, run } = await slow.begin();
    write(journal, run, 'one');
    const first = journal.sync();
    const again = first.then(() => journal.sync());
    write(journal, run, 'two');
    const answers: number[] = [];
    const second = journal.sync().then(() => answers.push(run.durable));
    await slow.endSync();
    expect([answers, run.durable]).toEqual([[], 1]);
    expect(await slow.afterPowerLoss(run)).toBe('open 1=one');
    await slow.endSync();
    await Promise.all([second, again]);
    expect(await slow.afterPowerLoss(run)).toBe('open 1=one 2=two');
  });

  test('[R2] a request that is only half written makes no number durable', async () => {
    const slow = new SlowDisk();
    const { journal, run } = await slow.begin();
    write(journal, run, 'whole');
    const half = { kind: 'write', volume: 0, offset: 0, length: 4, mayFree: false } as const;
    const payload = [Buffer.from('half')];
    journal.append(run, { ...half, payload, payloadLength: 4, endOfRequest: false });
    journal.write(run, 4);
    const synced = journal.sync();
    await slow.endSync();
    await synced;
    expect(run.durable).toBe(1);
    expect(await slow.afterPowerLoss(run)).toBe('open 1=whole');
  });

  test('listeners hear of each move of the durable number, until they leave', async () => {
    const slow = new SlowDisk();
    const { journal, run } = await slow.begin();
    const heard: number[] = [];
    const leave = journal.onDurable(() => heard.push(run.durable));
    for (const text of ['one', 'two', 'three']) {
      write(journal, run, text);
      if (text === 'three') leave();
      const synced = journal.sync();
      await slow.endSync();
      await synced;
    }
    expect(heard).toEqual([1, 2]);
  });
});

describe('without any flush', () => {
  test('[R3] a sync begins after the stated time', async () => {
    const slow = new SlowDisk();
    const { journal, run } = await slow.begin();
    write(journal, run, 'one');
    await slow.clock.pass(SYNC_INTERVAL_MS - 1);
    expect(slow.underWay).toBe(0);
    await slow.clock.pass(1);
    expect(slow.underWay).toBe(1);
    await slow.endSync();
    expect(run.durable).toBe(1);
  });

  test('[R3] a sync begins after the stated bytes', async () => {
    const slow = new SlowDisk();
    const { journal, run } = await slow.begin();
    write(journal, run, 'one');
    journal.write(run, SYNC_BYTES - 4);
    expect(slow.underWay).toBe(0);
    journal.write(run, 1);
    expect(slow.underWay).toBe(1);
  });

  test('[R3] what is written during a sync gets its own in time', async () => {
    const slow = new SlowDisk();
    const { journal, run } = await slow.begin();
    write(journal, run, 'one');
    const synced = journal.sync();
    write(journal, run, 'two');
    await slow.clock.pass(SYNC_INTERVAL_MS);
    await slow.endSync();
    await synced;
    expect([run.durable, slow.underWay]).toEqual([1, 1]);
    await slow.endSync();
    expect(run.durable).toBe(2);
  });
});

/** What a promise came to: its error's code, or 'fine'. */
async function fate(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'fine';
  } catch (error) {
    return String((error as { code?: unknown }).code);
  }
}

describe('a sync that fails', () => {
  test.each(['JOURNAL:SYNC', 'JOURNAL:SYNC-FOLDER'])(
    '[R2] ends the journal for everyone: %s',
    async (label) => {
      const disk = new SimulatedDisk();
      const journal = await openJournal(disk);
      const run = journal.startRun(openRecord());
      write(journal, run, 'one');
      disk.hook = (operation) => (operation.label === label ? 'fail' : undefined);
      const waiting = [journal.sync(), journal.sync(), journal.sync()].map(fate);
      expect(await Promise.all(waiting)).toEqual(['E_IO', 'E_IO', 'E_IO']);
      disk.hook = undefined;
      const { operations } = disk;
      expect(await fate(journal.sync())).toBe('E_IO');
      expect(() => write(journal, run, 'two')).toThrow(expect.objectContaining({ code: 'E_IO' }));
      expect(run.durable).toBe(0);
      await journal.close();
      expect(disk.operations).toBe(operations);
    },
  );

  test('[R2] a failed fdatasync followed by one that succeeds does not count', async () => {
    const disk = new SimulatedDisk();
    const journal = await openJournal(disk);
    const run = journal.startRun(openRecord());
    write(journal, run, 'one');
    await journal.sync();
    write(journal, run, 'two', 'and a half');
    disk.hook = ({ label }) => (label === 'JOURNAL:SYNC' ? 'fail' : undefined);
    expect(await fate(journal.sync())).toBe('E_IO');
    await journal.close();
    disk.hook = undefined;

    // The same boot: the page cache shows the tail, though no later sync would write it.
    const again = await reopenJournal(disk, { known: [knownOf(run)] });
    const [found] = again.runs;
    expect(found && textOf(found)).toBe('open 1=one 2=two 3=and a half');
    expect(found?.durable).toBe(3);
    const after = await reopenJournal(disk.survivors('lose', 0), { known: [knownOf(run, 3)] });
    expect(after.runs[0] && textOf(after.runs[0])).toBe('open 1=one 2=two 3=and a half');
  });

  test('[R2] a write that fails ends the journal, also for a sync under way', async () => {
    const slow = new SlowDisk();
    const { journal, run } = await slow.begin();
    write(journal, run, 'one');
    const synced = fate(journal.sync());
    slow.disk.hook = ({ label }) => (label === 'JOURNAL:APPEND' ? { errno: 'ENOSPC' } : undefined);
    expect(() => write(journal, run, filled('two', 100))).toThrow(
      expect.objectContaining({ code: 'E_NO_SPACE' }),
    );
    await slow.endSync();
    expect(await synced).toBe('E_NO_SPACE');
    expect([run.durable, journal.failure?.code]).toEqual([0, 'E_NO_SPACE']);
  });

  test('[R2] whoever waits gets the error that ends the journal from outside', async () => {
    const slow = new SlowDisk();
    const { journal, run } = await slow.begin();
    write(journal, run, 'one');
    const synced = fate(journal.sync());
    const { RcopyError } = await import('../../src/base/errors.ts');
    journal.fail(new RcopyError('E_STOPPED', 'the test ends it'));
    await slow.endSync();
    expect([await synced, await fate(journal.sync())]).toEqual(['E_STOPPED', 'E_STOPPED']);
  });
});
