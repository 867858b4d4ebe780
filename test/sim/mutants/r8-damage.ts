/** Faults against R8: damage is seen, and a torn tail is none. */
import type { Mutant } from './mutant.ts';

export const DAMAGE: readonly Mutant[] = [
  {
    name: 'payload-not-checked',
    rule: 'R8',
    file: 'src/format/record.ts',
    find: `  if (checksum(payload) !== header.payloadChecksum) {
    return { found: 'bad-payload', header, reason: 'the payload checksum does not match' };
  }
`,
    replace: '',
    test: 'test/journal/crash-sweep',
    why: 'The header has its checksum; but a torn write may leave a header without its payload.',
  },
  {
    name: 'half-a-request-stays',
    rule: 'R8',
    file: 'src/journal/run-scan.ts',
    find: 'if (header.endOfRequest) this.requestEnd = this.place;',
    replace: 'this.requestEnd = this.place;',
    why: 'Every record that reads well counts; but the rest of its request may be torn off.',
  },
  {
    name: 'unfinished-map-save-counts',
    rule: 'R8',
    file: 'src/imageset/map-file.ts',
    find: 'else if (page > 0 && check.slot.blocks > save) torn = true;\n    ',
    replace: '',
    also: [
      { find: '  let torn = false;\n', replace: '' },
      {
        find: 'const { page, kind, save = Infinity } = wanted;',
        replace: 'const { page, kind } = wanted;',
      },
      {
        find: 'if (counts) return { counts, torn, flaws:',
        replace: 'if (counts) return { counts, torn: false, flaws:',
      },
    ],
    test: 'test/imageset/maps',
    why: 'The newest slot of a page counts; but it may be of a save that never came to its end.',
  },
  {
    name: 'frame-not-checked',
    rule: 'R8',
    file: 'src/link/frame.ts',
    find:
      'if (checksum(body) !== bodyChecksum) ' +
      `throw broken('the checksum of a frame does not match');
    this.head = undefined;`,
    replace: 'this.head = undefined;',
    also: [
      {
        find: 'const { type, length, bodyChecksum } = this.head;',
        replace: 'const { type, length } = this.head;',
      },
    ],
    why: 'Records have checksums of their own; ranges of a copy, and maps, have not.',
  },
  {
    name: 'damage-taken-for-a-torn-tail',
    rule: 'R8',
    file: 'src/journal/run-scan.ts',
    find: 'this.durable = input.known?.durable ?? -1;',
    replace: 'this.durable = input.applied;',
    why:
      'What is applied has to be there; but what the cursors call durable has to be there too, ' +
      'and is cut like a tail.',
    test: 'test/journal/counter-examples',
  },
];
