/** Runs a migration's machine: does its effects through the ports, feeds back what happened. */
import { assert, unreachable } from '../base/assert.ts';
import type { HandoverEntry } from '../format/set-file.ts';
import { step } from './machine.ts';
import type { Migration, MigrationEffect, MigrationEvent } from './machine.ts';
import type { ControllerPort, SourcePort, TargetPort } from './ports.ts';

export interface MigrationPorts {
  readonly source: SourcePort;
  readonly target: TargetPort;
  readonly controllers: ControllerPort;
  /** Told after each change of state. */
  readonly changed?: (migration: Migration) => void;
}

export class MigrationRunner {
  migration: Migration;
  private readonly ports: MigrationPorts;

  constructor(migration: Migration, ports: MigrationPorts) {
    this.migration = migration;
    this.ports = ports;
  }

  /**
   * Runs from `first` until the machine asks for nothing more, or has come to `pauseBefore`.
   * Rejects with the first effect that failed: the state on disk is then where a restart goes on.
   */
  async run(first: MigrationEvent, pauseBefore?: MigrationEffect['kind']): Promise<Migration> {
    const events: MigrationEvent[] = [first];
    for (let event = events.shift(); event; event = events.shift()) {
      const { migration, effects } = step(this.migration, event);
      const moved = migration.state !== this.migration.state;
      this.migration = migration;
      if (moved) this.ports.changed?.(migration);
      for (const effect of effects) {
        if (effect.kind === pauseBefore) return this.migration;
        const next = await this.perform(effect);
        if (next) events.push(next);
      }
    }
    return this.migration;
  }

  private async perform(effect: MigrationEffect): Promise<MigrationEvent | undefined> {
    const { source, target, controllers } = this.ports;
    const { migration } = this;
    switch (effect.kind) {
      case 'save':
        await target.save(effect.migration);
        return { kind: 'saved' };
      case 'announce':
        await source.announce(migration);
        return { kind: 'announced' };
      case 'precopy':
        await target.precopy(migration);
        return { kind: 'precopied' };
      case 'prefetch':
        await target.prefetch(migration);
        return { kind: 'prefetched' };
      case 'hold':
        await controllers.hold(migration);
        return { kind: 'held' };
      case 'seal':
        return { kind: 'sealed', handover: checked(migration, await source.seal(migration)) };
      case 'accept':
        await target.accept(effect.migration);
        return { kind: 'accepted' };
      case 'switch':
        await controllers.switched(migration);
        return { kind: 'switched' };
      case 'copy':
        await target.copy(migration, () => source.drain(migration));
        return { kind: 'copied' };
      case 'retire':
        await source.retire(migration);
        return undefined;
      case 'bury':
        await source.bury(migration);
        return { kind: 'buried' };
      case 'give-back':
        await source.takeBack(migration, await target.giveBack(migration));
        return { kind: 'given-back' };
      case 'release':
        await controllers.release(migration);
        return undefined;
      default:
        return unreachable(effect);
    }
  }
}

/** A gives the same seal each time; another one than before would be another history. */
function checked(migration: Migration, handover: HandoverEntry): HandoverEntry {
  const before = migration.handover;
  assert(!before || before.sealRecord === handover.sealRecord, 'a source seals once');
  return handover;
}
