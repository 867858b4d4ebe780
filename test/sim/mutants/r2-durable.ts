/** Faults against R2: what was answered before an answered FLUSH survives. */
import type { Mutant } from './mutant.ts';

export const DURABLE: readonly Mutant[] = [
  {
    name: 'flush-of-an-empty-batch',
    rule: 'R2',
    file: 'src/imageset/host-port.ts',
    find: `private flush(done: Done): void {
    this.writeBatch();`,
    replace: `private flush(done: Done): void {
    if (this.batch.length === 0) return done(DONE);
    this.writeBatch();`,
    why:
      'Nothing waits to be written, so there is nothing to flush; but what was written before ' +
      'and answered is not synced.',
  },
  {
    name: 'late-waiters-join-a-sync',
    rule: 'R2',
    file: 'src/journal/committer.ts',
    find: 'if (!this.running && !this.following) return this.begin();',
    replace: `if (this.running) return this.running;
    if (!this.following) return this.begin();`,
    why: 'One sync serves all who wait; but it does not cover what was written after it began.',
  },
  {
    name: 'durable-up-to-what-is-written-now',
    rule: 'R2',
    file: 'src/journal/committer.ts',
    find: `for (const { run, end } of covered) {
      run.durable = Math.max(run.durable, end);`,
    replace: `for (const { run } of covered) {
      run.durable = Math.max(run.durable, run.writtenEnd);`,
    also: [
      {
        find: `handles: run.syncBegins(),
      end: run.writtenEnd,`,
        replace: 'handles: run.syncBegins(),',
      },
    ],
    why: 'The end is looked up when the sync is over; more has been written during it.',
  },
  {
    name: 'name-of-a-segment-not-synced',
    rule: 'R2',
    file: 'src/journal/segment-store.ts',
    find: `const handle = this.files.open(path, mode, 'JOURNAL:CREATE');
      this.folderUnsynced = true;`,
    replace: `const handle = this.files.open(path, mode, 'JOURNAL:CREATE');`,
    why:
      'The file is synced by whoever writes it; its name in the folder is not, and goes with ' +
      'all its records.',
  },
  {
    name: 'failed-sync-tried-again',
    rule: 'R2',
    file: 'src/journal/committer.ts',
    find: `for (const handle of handles) await handle.sync('JOURNAL:SYNC');`,
    replace: `for (const handle of handles) {
          await handle.sync('JOURNAL:SYNC').catch(() => handle.sync('JOURNAL:SYNC'));
        }`,
    why:
      'An error may pass; but the kernel has called the pages clean that it could not write, ' +
      'and the second sync has nothing to do.',
  },
  {
    name: 'tail-trusted-when-whole',
    rule: 'R2',
    file: 'src/journal/journal.ts',
    find: 'if (clean || readOnly) {',
    replace: 'if (clean || readOnly || scan.cuts.length === 0) {',
    why:
      'Every record of the tail reads well, so it needs no rewriting; but it may be in the page ' +
      'cache only, called clean by a sync that failed.',
  },
  {
    name: 'flush-covers-later-answers',
    rule: 'R2',
    file: 'src/path/path-switch.ts',
    find: `if (request.kind === 'flush') this.noteDurable(covers);`,
    replace: `if (request.kind === 'flush') this.noteDurable(this.retained.newest);`,
    also: [
      {
        find: 'private keep({ request, host, covers }: HostRequest, sequence',
        replace: 'private keep({ request, host }: HostRequest, sequence',
      },
    ],
    why:
      'A flush was answered, so all that was answered is durable; but writes were answered while ' +
      'it was under way. The controller does not write them again.',
  },
  {
    name: 'replayed-but-not-synced',
    rule: 'R2',
    file: 'src/node/controllers.ts',
    find: `this.finishing = true;
    this.set.journal.sync().then(gathered, () => {
      this.finishing = false; // the set has stopped
    });`,
    replace: `this.set.journal.sync().catch(() => undefined);
    gathered();`,
    why:
      'What was lost has been written again, and a sync is on its way; but controllers keep ' +
      'nothing of it any more, and another power loss takes it.',
  },
  {
    name: 'takeover-hides-a-loss',
    rule: 'R2',
    file: 'src/node/path-way.ts',
    find: 'if (place.set.setId !== this.reignSet) hosts.noteHistoryEnd(',
    replace: 'if (place.set.setId === this.reignSet) hosts.noteHistoryEnd(',
    why:
      'Only a set that comes back can have lost something; but the one that took over may never ' +
      'have got what was durable, and the next flush of its hosts covers up the loss.',
  },
  {
    name: 'checkpoint-counts-what-came-during-it',
    rule: 'R2',
    file: 'src/imageset/applier.ts',
    find: `const { contents, hooks, written } = this;
    this.written = undefined;`,
    replace: 'const { contents, hooks } = this;',
    also: [
      {
        find: 'const position = written ?? next ?? hooks.position();',
        replace: `const { written } = this;
      this.written = undefined;
      const position = written ?? next ?? hooks.position();`,
      },
    ],
    why:
      'The number is taken when the images are synced; layers that were written during the sync ' +
      'are called applied, and are trimmed.',
    test: 'test/imageset/applier',
  },
  {
    name: 'zeroes-written-through-are-not',
    rule: 'R2',
    file: 'src/imageset/host-port.ts',
    find: 'this.batch.push({ done, sequence, fua: request.fua });',
    replace: `this.batch.push({ done, sequence, fua: request.kind === 'write' && request.fua });`,
    why: 'Written through is what writes are; zeroes may be asked for in the same way.',
  },
];
