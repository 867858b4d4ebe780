/** Faults against R6: the next start goes on from durable state, and never anew. */
import type { Mutant } from './mutant.ts';

export const RESUME: readonly Mutant[] = [
  {
    name: 'copy-progress-before-its-sync',
    rule: 'R6',
    file: 'src/imageset/follower.ts',
    find: `  await set.contents.syncImages();
  if (!set.copyReceived`,
    replace: '  if (!set.copyReceived',
    test: 'test/imageset/follower-crashes',
    why: 'The ranges are written; but what the cursors call copied has to be synced before.',
  },
  {
    name: 'copy-begun-anew',
    rule: 'R6',
    file: 'src/link/resume.ts',
    find: 'if (copy && copyBase && sameProven(copy.base, copyBase)) {\n    if (records',
    replace: 'if (copy && copyBase && copy.base === copyBase) {\n    if (records',
    why: 'The bases are compared, but as objects: a copy that was cut off always begins anew.',
  },
  {
    name: 'unreferenced-runs-stay',
    rule: 'R6',
    file: 'src/imageset/open-set.ts',
    find: '  dropUnreferenced(set);\n',
    replace: '',
    also: [
      {
        find: 'import { becomeUsable, dropUnreferenced, enterEpoch, followJournal }',
        replace: 'import { becomeUsable, enterEpoch, followJournal }',
      },
    ],
    test: 'test/imageset/follower-crashes',
    why:
      'The runs were given up before the copy began; but the power may fail in between, and ' +
      'then they are there and in the way.',
  },
  {
    name: 'found-slot-not-secured',
    rule: 'R6',
    file: 'src/imageset/cursors-store.ts',
    find: '      if (this.found) await this.writeSlot(this.found);\n',
    replace: '',
    also: [
      {
        find: `  /** What the file was opened with: it reads, but is not known to be durable. */
  private found: Cursors | undefined;
`,
        replace: '',
      },
      {
        find: 'private constructor(handle: FileHandle, generation: number, found?: Cursors) {',
        replace: 'private constructor(handle: FileHandle, generation: number) {',
      },
      { find: '    this.found = found;\n', replace: '' },
      { find: '      this.found = undefined;\n', replace: '' },
      {
        find: 'new CursorsStore(handle, file.generation, file.cursors), file }',
        replace: 'new CursorsStore(handle, file.generation), file }',
      },
    ],
    test: 'test/imageset/cursors-store',
    why:
      'What was read is there; but a killed process left it in the page cache only, and the ' +
      'other slot, which alone is durable, is written over.',
  },
  {
    name: 'set-json-renamed-and-not-synced',
    rule: 'R6',
    file: 'src/sys/replace-file.ts',
    find: '    await files.syncFolder(folder, `${part}:SYNC-FOLDER`);\n',
    replace: '',
    why: 'The new content is synced before it gets its name; but its name is not.',
  },
];
