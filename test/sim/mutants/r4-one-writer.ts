/** Faults against R4: in each epoch one set takes host writes. */
import type { Mutant } from './mutant.ts';

export const ONE_WRITER: readonly Mutant[] = [
  {
    name: 'seal-takes-a-number',
    rule: 'R4',
    file: 'src/imageset/succession.ts',
    find: 'next: header.sequence, chain: header.ownChain };',
    replace: 'next: header.sequence + 1, chain: header.ownChain };',
    why: 'Each record has its number, so the successor goes on behind that; a seal has none.',
  },
  {
    name: 'sealed-set-answers-reads',
    rule: 'R4',
    file: 'src/imageset/refusals.ts',
    find: 'if (seal) return sealedError(file);',
    replace: `if (seal && kind === 'write') return sealedError(file);`,
    why: 'Reads change nothing; but they tell a host what the volume is no more.',
  },
  {
    name: 'takeover-keeps-the-provisional',
    rule: 'R4',
    file: 'src/imageset/succession.ts',
    find: '(run) => run.epoch >= epoch && run.identity.writer !== setId,',
    replace: '(run) => run.epoch > epoch && run.identity.writer !== setId,',
    test: 'test/node/takeover',
    why:
      'What comes behind the new epoch goes; but the provisional epoch of the same number is ' +
      'taken for its own.',
  },
  {
    name: 'no-fence-for-older-streams',
    rule: 'R4',
    file: 'src/node/controllers.ts',
    find: `    before?.drop('a newer stream of the same controller has come');\n`,
    replace: '',
    why:
      'The newer generation has come, so the older one has ended; but what it sent may still be ' +
      'on its way, and lands after what is newer.',
  },
  {
    name: 'replay-into-a-takeover',
    rule: 'R4',
    file: 'src/node/takeover.ts',
    find: `// Nobody may write again here what another history has lost: each tells its hosts.
    ...withoutControllers(file),`,
    replace: '...file,',
    test: 'test/node/gate-changes',
    why:
      'Controllers come back to the set that they know, and write again what it lacks; but that ' +
      'is another history, in which a part of it has no meaning.',
  },
  {
    name: 'seal-over-a-gap',
    rule: 'R4',
    file: 'src/imageset/follower.ts',
    find: '  if (mismatch(run, record) !== undefined) return false;\n',
    replace: '',
    why:
      'The seal that the successor shows ends the epoch; but records before it may still be ' +
      'missing here.',
  },
];
