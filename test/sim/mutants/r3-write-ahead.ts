/** Faults against R3: nothing reaches an image or leaves a set before its records are durable. */
import type { Mutant } from './mutant.ts';

export const WRITE_AHEAD: readonly Mutant[] = [
  {
    name: 'image-before-the-journal',
    rule: 'R3',
    file: 'src/imageset/applier.ts',
    find: `await hooks.makeDurable(layer.upTo);
    for (const`,
    replace: `const durable = hooks.makeDurable(layer.upTo);
    durable.catch(() => undefined);
    for (const`,
    also: [
      {
        find: 'await contents.applyLayer(layer);',
        replace: 'await Promise.all([durable, contents.applyLayer(layer)]);',
      },
    ],
    test: 'test/imageset/crashes',
    why: 'Both can go on side by side; but the image may be written first.',
  },
  {
    name: 'written-taken-for-durable',
    rule: 'R3',
    file: 'src/imageset/image-set.ts',
    find: 'if (run && run.durable < position.sequence) await this.journal.sync();',
    replace: 'if (run && run.writtenEnd < position.sequence) await this.journal.sync();',
    why: 'What is written need not be written again; but it has to be synced.',
  },
  {
    name: 'sends-what-is-written',
    rule: 'R3',
    file: 'src/link/sender.ts',
    find: 'const record = reader.next(run.durable);',
    replace: 'const record = reader.next(run.writtenEnd);',
    why: 'It is sent earlier that way; the secondary may then have what its primary loses.',
  },
  {
    name: 'range-leaves-before-its-records',
    rule: 'R3',
    file: 'src/imageset/image-set.ts',
    find: `    await this.makeDurable({ epoch: this.file.epoch, sequence: asOf });
    return { asOf, length, data };`,
    replace: '    return { asOf, length, data };',
    why:
      'The records behind a range follow it anyway; but the range shows what its primary may ' +
      'still lose.',
  },
  {
    name: 'timer-stopped-after-the-sync',
    rule: 'R3',
    file: 'src/journal/committer.ts',
    find: `    this.stopTimer();
    this.bytesWaiting = 0;
    const covered`,
    replace: '    const covered',
    also: [
      {
        find: `    if (this.failure) throw this.failure;
    for (const { run, end } of covered) {`,
        replace: `    if (this.failure) throw this.failure;
    this.stopTimer();
    this.bytesWaiting = 0;
    for (const { run, end } of covered) {`,
      },
    ],
    why:
      'The timer has done its work when the sync is over; but one that was set for what was ' +
      'written meanwhile is stopped too, and that is never synced by itself.',
  },
];
