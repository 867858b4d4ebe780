/** Faults against R1: a usable secondary is an exact prefix, and nothing is applied past a gap. */
import type { Mutant } from './mutant.ts';

export const ORDER: readonly Mutant[] = [
  {
    name: 'crosses-at-an-unsynced-seal',
    rule: 'R1',
    file: 'src/imageset/feed.ts',
    find: 'const next = reader.ended ? successor(this.journal, run) : undefined;',
    replace: 'const next = successor(this.journal, run);',
    why:
      'The seal is in the journal, so the epoch is complete; but the reader stops at the durable ' +
      'number, and what lies between that and the seal is skipped.',
  },
  {
    name: 'older-layer-on-top',
    rule: 'R1',
    file: 'src/imageset/overlay.ts',
    find: `const frozen = this.frozen?.volumes[volume];
    if (frozen) maps.push(frozen);
    const current = this.current.volumes[volume];
    if (current) maps.push(current);`,
    replace: `const current = this.current.volumes[volume];
    if (current) maps.push(current);
    const frozen = this.frozen?.volumes[volume];
    if (frozen) maps.push(frozen);`,
    why:
      'The newest layer first, as one would look for a block; but the layers are laid over each ' +
      'other in this order, so that reads see what is being applied instead of what is newer.',
  },
  {
    name: 'usable-at-the-base',
    rule: 'R1',
    file: 'src/imageset/follower.ts',
    find: 'if (copy?.complete && !set.usable && applied.sequence >= copy.asOf) {',
    replace: 'if (copy?.complete && !set.usable && applied.sequence >= copy.base.sequence) {',
    why:
      'All ranges have come and the base is applied; but ranges were read later than the base, ' +
      'and reflect numbers that have not come.',
  },
  {
    name: 'base-over-newer-blocks',
    rule: 'R1',
    file: 'src/imageset/contents.ts',
    find: `const from = map.next(block, last, false);
      if (from >= last) return;
      const to = map.next(from, last, true);`,
    replace: `const from = block;
      const to = last;`,
    why:
      'What was asked for was absent; but hosts may have written it while it was fetched, and ' +
      'the base goes over what is newer.',
  },
  {
    name: 'fragment-without-a-base',
    rule: 'R1',
    file: 'src/imageset/contents.ts',
    find: 'if (extent.end % MAP_BLOCK_BYTES !== 0 && (last !== first || blocks.length === 0)) {',
    replace: 'if (extent.end % MAP_BLOCK_BYTES !== 0 && last !== first) {',
    why:
      'The block of the beginning need not be named twice; but a fragment that begins on the ' +
      'border of its block is not named at all: it is applied to a block that is not there.',
  },
  {
    name: 'replay-without-turns',
    rule: 'R1',
    file: 'src/node/path-turns.ts',
    find: 'upTo: Math.max(first.next, (second?.next ?? Number.MAX_SAFE_INTEGER) - 1),',
    replace: 'upTo: Number.MAX_SAFE_INTEGER,',
    also: [{ find: 'const [first, second] = heads;', replace: 'const [first] = heads;' }],
    why:
      'Whoever has the lowest number writes again all that it lost; writes of several ' +
      'controllers to one block change places.',
  },
  {
    name: 'durable-within-a-request',
    rule: 'R1',
    file: 'src/journal/run.ts',
    find: `if (header.endOfRequest) {
      this.partsEnd = header.kind === 'seal' ? header.sequence : this.next - 1;
    }`,
    replace: `this.partsEnd = header.kind === 'seal' ? header.sequence : this.next - 1;`,
    why:
      'Each record that came is written, so it counts; but a request of several records may ' +
      'have come in part only, and is applied in part.',
  },
];
