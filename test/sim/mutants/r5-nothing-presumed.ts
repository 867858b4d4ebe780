/** Faults against R5: nothing is presumed equal. */
import type { Mutant } from './mutant.ts';

export const NOTHING_PRESUMED: readonly Mutant[] = [
  {
    name: 'resumes-by-number',
    rule: 'R5',
    file: 'src/link/resume.ts',
    find: 'if (sender.chainBefore(mine.next) !== mine.chain) {',
    replace: 'if (sender.chainBefore(mine.next) === undefined) {',
    why: 'The epoch and the number are the same, so the record is; the chain says whether.',
  },
  {
    name: 'usable-from-before-the-copy',
    rule: 'R5',
    file: 'src/link/sender.ts',
    find: 'const decision = decideResume(senderView(set, run), welcome);',
    replace: `const decision = decideResume(senderView(set, run), welcome);
    this.copyWasDone = welcome.usable;`,
    why:
      'The secondary says that it is usable, so the copy is done; but it said that of ' +
      'the content that the copy replaces.',
  },
  {
    name: 'any-copy-is-this-copy',
    rule: 'R5',
    file: 'src/imageset/follower.ts',
    find: 'const isIn = set.copy !== null && sameProven(set.copy.base, base);',
    replace: 'const isIn = set.copy !== null;',
    why: 'It is in a copy already, and goes on with it; but that may be another one.',
  },
  {
    name: 'owed-blocks-from-the-second-site',
    rule: 'R5',
    file: 'src/node/block-reads.ts',
    find: '(holdsAll || (!from.owed && holdsOthers)))',
    replace: '(holdsAll || holdsOthers))',
    test: 'test/node/losing-source',
    why:
      'The secondary has come to where the source stood, by its last word; but just these blocks ' +
      'it was still owed.',
  },
  {
    name: 'lineage-of-any-number',
    rule: 'R5',
    file: 'src/link/resume.ts',
    find: 'return peer.usable && place !== undefined && sender.isProven(place);',
    replace: 'return peer.usable && place !== undefined;',
    test: 'test/link/resume',
    why:
      'A secondary that is usable has something of this history; but where it stands decides ' +
      'which blocks it lacks.',
  },
];
