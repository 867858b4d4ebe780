/** Faults against R9: everything has a limit, and what is owed first has room. */
import type { Mutant } from './mutant.ts';

export const BOUNDED: readonly Mutant[] = [
  {
    name: 'no-room-kept-for-the-seal',
    rule: 'R9',
    file: 'src/base/limits.ts',
    find: 'export const SEAL_RESERVE_BYTES = 4 * KIB;',
    replace: 'export const SEAL_RESERVE_BYTES = 96;',
    why: 'A seal is one record without data; but it carries who follows, and where.',
    test: 'test/imageset/waiting',
  },
  {
    name: 'later-epochs-take-the-reserve',
    rule: 'R9',
    file: 'src/imageset/follower.ts',
    find: `const purpose = run.epoch <= set.feed.position.epoch ? 'first-owed' : 'later';`,
    replace: `const purpose = 'first-owed';`,
    test: 'test/imageset/follower',
    why:
      'What a peer sends is owed; but the successor fills the journal, and what is missing ' +
      'before it has no room any more.',
  },
  {
    name: 'queued-bytes-not-counted',
    rule: 'R9',
    file: 'src/journal/run.ts',
    find: '    room -= this.partsBytes;\n',
    replace: '',
    why: 'The end of the file says how much room there is; but more waits to be written.',
  },
  {
    name: 'hosts-wait-without-end',
    rule: 'R9',
    file: 'src/imageset/host-port.ts',
    find: 'else if (this.waiting.length > 0) this.armWait();',
    replace: 'else if (this.waiting.length > 1) this.armWait();',
    test: 'test/imageset/waiting',
    why: 'A host that waits alone is forgotten: where no room comes, it never gets its error.',
  },
  {
    name: 'hold-begins-anew',
    rule: 'R9',
    file: 'src/path/path-switch.ts',
    find: 'request.waitsSinceMs = this.clock.monotonicMs() - request.waitedMs;',
    replace: 'request.waitsSinceMs = this.clock.monotonicMs();',
    why:
      'It waits from now on; but where sets come and go it has waited before, and the hold limit ' +
      'is for all of it.',
  },
  {
    name: 'credit-ignored',
    rule: 'R9',
    file: 'src/link/sender.ts',
    find: 'if (this.sent - this.consumed >= this.options.set.transfers.creditBytes) return false;',
    replace:
      'if (this.consumed - this.sent >= this.options.set.transfers.creditBytes) return false;',
    why: 'The subtraction the wrong way round: nothing holds the sender back.',
  },
];
