/** Faults against R7: a record goes only when nobody needs it, and maps say all that they cover. */
import type { Mutant } from './mutant.ts';

export const TRIM_LAST: readonly Mutant[] = [
  {
    name: 'acknowledges-what-was-received',
    rule: 'R7',
    file: 'src/link/receiver-session.ts',
    find: 'durable: epoch.durable,',
    replace: 'durable: (set.journal.run(epoch.epoch)?.next ?? epoch.durable + 1) - 1,',
    why: 'It has come, and is written; but the primary trims what the secondary may still lose.',
  },
  {
    name: 'trims-by-the-higher-number',
    rule: 'R7',
    file: 'src/imageset/image-set.ts',
    find: 'const lower = comparePositions(durable, applied) < 0 ? durable : applied;',
    replace: 'const lower = comparePositions(durable, applied) > 0 ? durable : applied;',
    why: 'The comparison the wrong way round: what only one of both has is trimmed.',
  },
  {
    name: 'owed-from-one-too-late',
    rule: 'R7',
    file: 'src/imageset/lacking.ts',
    find: 'const behind = run.epoch === from.epoch ? from.sequence : run.identity.first - 1;',
    replace:
      'const behind = run.epoch === from.epoch ? from.sequence + 1 : run.identity.first - 1;',
    why:
      'The map takes over behind the number that the secondary has; one more, and the blocks of ' +
      'one record are owed by nobody.',
  },
  {
    name: 'maps-named-before-they-are-saved',
    rule: 'R7',
    file: 'src/imageset/lacking.ts',
    find: '    await set.applier.checkpoint(); // saves the maps\n',
    replace: '',
    why:
      'The maps are durable, for they were made so; but what the journal said was added only in ' +
      'memory, and the journal lets it go now.',
    test: 'test/node/split',
  },
  {
    name: 'map-taken-behind-the-sync',
    rule: 'R7',
    file: 'src/imageset/applier.ts',
    find: `// Taken before the sync: a bit that is set during it speaks of a block it may not cover.
      const saves = contents.maps.map((maps) => maps.takeChanges());
      await contents.syncImages();`,
    replace: `await contents.syncImages();
      const saves = contents.maps.map((maps) => maps.takeChanges());`,
    why:
      'First the images, then the maps; but a block that came during the sync is called present ' +
      'before it is durable.',
    test: 'test/imageset/applier',
  },
  {
    name: 'note-cleared-behind-the-read',
    rule: 'R7',
    file: 'src/node/block-reads.ts',
    find: `// Cleared before it is read: a write that comes in between sets the bit again.
  if (from.kind === 'serving') forgetChanges(set, volume, offset, length);
  const read = await readBlocks(set, volume, offset, offset + length);`,
    replace: `const read = await readBlocks(set, volume, offset, offset + length);
  if (from.kind === 'serving') forgetChanges(set, volume, offset, length);`,
    why: 'What was read is noted no more; but a write that came while it was read is forgotten.',
    test: 'test/node/migration-faults',
  },
  {
    name: 'changes-without-the-overlay',
    rule: 'R7',
    file: 'src/node/migration-answers.ts',
    find: '      if (isFirst) await set.drain(); // what is in the overlay counts as well\n',
    replace: '',
    why:
      'The map says what changed; but it learns of that when it is applied, and the latest ' +
      'writes before the seal are not.',
  },
  {
    name: 'last-block-rounded-down',
    rule: 'R7',
    file: 'src/imageset/block-map.ts',
    find: 'BLOCK_BYTES), Math.ceil(end / MAP_BLOCK_BYTES));',
    replace: 'BLOCK_BYTES), Math.floor(end / MAP_BLOCK_BYTES));',
    why: 'The end is not included; but the block in which it lies may be touched as well.',
  },
  {
    name: 'accepts-beside-its-maps',
    rule: 'R7',
    file: 'src/imageset/acceptance.ts',
    find: `await allDone([
      stampPresence(`,
    replace: `const stamped = allDone([
      stampPresence(`,
    also: [
      {
        find: `namesWith(named, contents.dirty) : named.maps,
      };
    });`,
        replace: `namesWith(named, contents.dirty) : named.maps,
      };
    });
    await stamped;`,
      },
    ],
    test: 'test/imageset/succession-crashes',
    why:
      'The files of the maps are there and named; but what changed last comes into them beside ' +
      'the acceptance, and a power loss leaves them as they were.',
  },
  {
    name: 'fresh-map-taken-for-all',
    rule: 'R7',
    file: 'src/node/migration-answers.ts',
    find: 'const isFresh = owed.fresh !== null && owed.fresh.since === call.since;',
    replace: 'const isFresh = owed.fresh !== null;',
    why: 'Who asks again gets what came since; but it may not have what came before.',
    test: 'test/node/migration-faults',
  },
];
