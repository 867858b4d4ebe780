/** The runner: effects in order, and from whatever a failure leaves a restart goes on. */
import { describe, expect, test } from '@jest/globals';
import { RcopyError } from '../../src/base/errors.ts';
import type { HandoverEntry } from '../../src/format/set-file.ts';
import type { Migration, MigrationEvent } from '../../src/migration/machine.ts';
import { MigrationRunner } from '../../src/migration/runner.ts';
import { HANDOVER, SOURCE_FACTS, TARGET_FACTS, migrationIn } from '../support/migrations.ts';

const WHOLE = [
  'save prepared',
  'announce',
  'save switching',
  'prefetch',
  'hold',
  'seal',
  'accept',
  'switch osaka',
  'copy',
  'drain',
  'save done',
  'retire',
];

/** Three parties that note what is asked of them; the named call fails once. */
class Parties {
  readonly calls: string[] = [];
  readonly states: string[] = [];
  /** What B has on disk; undefined before the first save. */
  disk: Migration | undefined;
  /** A has sealed: an abort is refused from then on. */
  sealed = false;
  handover: HandoverEntry = HANDOVER;
  private failing: string | undefined;

  failAt(call: string | undefined): this {
    this.failing = call;
    return this;
  }

  run(migration: Migration, first: MigrationEvent, pauseBefore?: 'copy'): Promise<Migration> {
    const runner = new MigrationRunner(migration, {
      source: {
        facts: () => Promise.resolve(SOURCE_FACTS),
        announce: () => this.call('announce'),
        seal: async () => {
          // The seal may be durable although its answer is lost.
          this.sealed = true;
          await this.call('seal');
          return this.handover;
        },
        drain: () => this.call('drain'),
        retire: () => this.call('retire'),
        bury: async () => {
          await this.call('bury');
          if (this.sealed) throw new RcopyError('E_SEALED', 'too late');
        },
        takeBack: () => this.call('take back'),
      },
      target: {
        facts: () => TARGET_FACTS,
        save: async (saved) => {
          await this.call(`save ${saved.state}`);
          this.disk = saved;
        },
        accept: async (accepted) => {
          await this.call('accept');
          this.disk = { ...accepted, state: 'copying' };
        },
        precopy: () => this.call('precopy'),
        prefetch: () => this.call('prefetch'),
        giveBack: async () => {
          await this.call('give back');
          const durable = { epoch: 1, sequence: 0 };
          return { open: 'o', seal: 's', bases: [], hasClosed: false, durable };
        },
        copy: async (_, drain) => {
          await this.call('copy');
          await drain();
        },
      },
      controllers: {
        hold: () => this.call('hold'),
        switched: ({ target: { name } }) => this.call(`switch ${name}`),
        release: () => this.call('release'),
      },
      changed: ({ state }) => void this.states.push(state),
    });
    return runner.run(first, pauseBefore);
  }

  private call(name: string): Promise<void> {
    this.calls.push(name);
    if (this.failing !== name) return Promise.resolve();
    this.failing = undefined;
    return Promise.reject(new RcopyError('E_UNREACHABLE', `no answer to ${name}`));
  }
}

const start = { kind: 'started' } as const;
const restart = { kind: 'restarted' } as const;

describe('a migration', () => {
  test('asks everything in its order', async () => {
    const parties = new Parties();
    const end = await parties.run(migrationIn('prepared'), start);
    expect(end).toMatchObject({ state: 'done', handover: HANDOVER });
    expect(parties.calls).toEqual(WHOLE);
    expect(parties.states).toEqual(['switching', 'copying', 'done']);
  });

  test('[R4] remembers that A may have sealed before it asks A to', async () => {
    const { calls } = await paused(new Parties());
    expect(calls.indexOf('save switching')).toBeLessThan(calls.indexOf('seal'));
    expect(calls.indexOf('hold')).toBeLessThan(calls.indexOf('seal'));
    expect(calls.indexOf('accept')).toBeLessThan(calls.indexOf('switch osaka'));
  });

  test('copies ahead where that is asked for, before anything is held', async () => {
    const parties = new Parties();
    await parties.run({ ...migrationIn('prepared'), copy: 'pre' }, start);
    const ahead = ['save prepared', 'announce', 'save precopying', 'precopy', 'save switching'];
    expect(parties.calls).toEqual([...ahead, ...WHOLE.slice(3)]);
  });

  test('pauses where it is told, and goes on from there', async () => {
    const parties = await paused(new Parties());
    expect(parties.calls).toEqual(WHOLE.slice(0, 8));
    expect(parties.disk?.state).toBe('copying');
    const end = await parties.run(parties.disk ?? migrationIn('copying'), restart);
    expect(end.state).toBe('done');
    expect(parties.calls.slice(8)).toEqual(WHOLE.slice(7));
  });

  test.each(WHOLE)('[R6] goes on from what is durable when %j fails', async (failing) => {
    const parties = new Parties().failAt(failing);
    await expect(parties.run(migrationIn('prepared'), start)).rejects.toThrow(failing);
    const before = parties.calls.length;
    const { disk } = parties;
    const end = disk
      ? await parties.run(disk, restart)
      : await parties.run(migrationIn('prepared'), start);
    expect(end.state).toBe('done');
    expect(parties.calls.at(-1)).toBe('retire');
    expect(parties.disk?.state).toBe('done');
    // Nothing that lies behind is asked again but what the state on disk begins with.
    const again = parties.calls.slice(before);
    const from = WHOLE.indexOf(again[0] ?? '');
    expect(again).toEqual(WHOLE.slice(from));
    expect(from).toBeLessThanOrEqual(WHOLE.indexOf(failing));
  });

  test('[R4] a source that gives another seal than before is a bug; nothing follows', async () => {
    const parties = new Parties();
    parties.handover = { ...HANDOVER, sealRecord: 'ef' };
    const sealedBefore = { ...migrationIn('switching'), handover: HANDOVER };
    await expect(parties.run(sealedBefore, restart)).rejects.toMatchObject({ code: 'E_INTERNAL' });
    expect(parties.calls).toEqual(['prefetch', 'hold', 'seal']);
  });
});

describe('an abort', () => {
  const ask = { kind: 'abort-asked', reason: 'enough' } as const;

  test.each(['prepared', 'switching'] as const)('while %s buries, then releases', async (state) => {
    const parties = new Parties();
    const end = await parties.run(migrationIn(state), ask);
    expect(end).toMatchObject({ state: 'aborted', reason: 'enough' });
    expect(parties.calls).toEqual(['bury', 'save aborted', 'release']);
  });

  test('[R4] after the seal is refused, and the migration goes on', async () => {
    const parties = new Parties().failAt('accept');
    await expect(parties.run(migrationIn('prepared'), start)).rejects.toThrow('accept');
    expect(parties.disk?.state).toBe('switching');
    const disk = parties.disk ?? migrationIn('switching');
    await expect(parties.run(disk, ask)).rejects.toMatchObject({ code: 'E_SEALED' });
    expect(parties.disk?.state).toBe('switching');
    expect((await parties.run(disk, restart)).state).toBe('done');
  });

  test('[R4] after the switch gives the epoch back, which the source takes', async () => {
    const parties = new Parties();
    const end = await parties.run(migrationIn('copying'), ask);
    expect(end).toMatchObject({ state: 'aborted', reason: 'enough' });
    expect(parties.calls).toEqual(['give back', 'take back', 'save aborted', 'release']);
  });

  test.each(['bury', 'save aborted', 'release'])('is done again when %j fails', async (failing) => {
    const parties = new Parties().failAt(failing);
    parties.disk = migrationIn('switching');
    await expect(parties.run(parties.disk, ask)).rejects.toThrow(failing);
    const { disk } = parties;
    const end = await parties.run(disk, disk.state === 'aborted' ? restart : ask);
    expect(end.state).toBe('aborted');
    expect(parties.calls.at(-1)).toBe('release');
  });
});

async function paused(parties: Parties): Promise<Parties> {
  await parties.run(migrationIn('prepared'), start, 'copy');
  return parties;
}
