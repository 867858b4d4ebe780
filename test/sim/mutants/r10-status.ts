/** Faults against R10: nothing is shown that was not measured. */
import type { Mutant } from './mutant.ts';

export const STATUS: readonly Mutant[] = [
  {
    name: 'lag-one-short',
    rule: 'R10',
    file: 'src/node/lag.ts',
    find: 'const entries = Math.max(0, set.newest + 1 - from);',
    replace: 'const entries = Math.max(0, set.newest - from);',
    why: 'From the first that is lacking to the newest; both count.',
  },
  {
    name: 'given-numbers-shown-as-durable',
    rule: 'R10',
    file: 'src/node/status.ts',
    find: 'durableSequence: run ? Math.min(run.durable, run.next - 1) : 0,',
    replace: 'durableSequence: run ? Math.min(run.writtenEnd, run.next - 1) : 0,',
    why: 'What is in the journal; but not all of it is synced.',
  },
  {
    name: 'dead-link-shown-as-up',
    rule: 'R10',
    file: 'src/link/sender.ts',
    find: 'return this.greeted && !this.options.channel.hasEnded;',
    replace: 'return this.greeted;',
    why: 'The secondary has answered; but the link may have ended since.',
  },
  {
    name: 'restored-under-a-copy',
    rule: 'R10',
    file: 'src/link/sender.ts',
    find: `const { epoch, sequence } = message.restored;
    const restored = { epoch, sequence: message.usable ? sequence : 0 };`,
    replace: 'const { restored } = message;',
    why: 'What it has applied, by its own word; but under half a copy that is nothing usable.',
  },
  {
    name: 'usable-while-it-is-copied-to',
    rule: 'R10',
    file: 'src/node/status.ts',
    find: `const hasBegun = pair.copyBase !== null || pair.formerBases.length > 0;
      return secondary !== null && contents.dirty.inUse && !hasBegun;`,
    replace: 'return secondary !== null && contents.dirty.inUse;',
    why: 'It only gets some blocks; but until it has them all it is no state of the volumes.',
  },
  {
    name: 'every-word-counts-as-progress',
    rule: 'R10',
    file: 'src/node/replication.ts',
    find: 'if (durable !== this.cursor || durable >= set.newest) this.movedMs',
    replace: 'if (durable !== this.cursor || durable <= set.newest) this.movedMs',
    test: 'test/node/kept',
    why: 'The comparison the wrong way round: each word counts as if the cursor had moved.',
  },
];
