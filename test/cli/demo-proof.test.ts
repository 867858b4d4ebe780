/** The demo's proof: each of its lines fails when what it stands on is not so. */
import { describe, expect, test } from '@jest/globals';
import type { ProofName } from '../../src/cli/demo/answer.ts';
import { proofOf } from '../../src/cli/demo/proof.ts';
import type { Evidence } from '../../src/cli/demo/proof.ts';

const compared = { equal: true, sequence: 1000, bytesCompared: 4096, differences: [] };
const image = {
  volume: 'db',
  equal: true,
  differsAt: null,
  referenceSha256: 'a',
  imageSha256: 'a',
};
const marks = [
  { name: 'before', sequence: 500 },
  { name: 'after', sequence: 700 },
];
const refusal = { code: 'E_SEALED', admitsHosts: false, message: 'sealed' };
const left = {
  wasNeeded: false,
  refusal,
  set: {},
  deleted: true,
  writesBefore: 700,
};
const sets = {
  a: { set: { role: 'retired' }, seal: { nextSequence: 601 } },
  b: {},
  c: {
    images: { exact: true, reason: 'not closed' },
    cursors: { applied: { sequence: 1000 }, marks },
  },
};
const report = { content: true, problems: [], acknowledged: 1000, reads: 40, numbers: 1000 };
const connected = ['db from 127.0.0.1:5001', 'log from 127.0.0.1:5002'];

/** As it is when all went well. */
const evidence = {
  report,
  comparisons: [image, { ...image, volume: 'log' }],
  witnessExit: 0,
  comparedLive: compared,
  compared,
  verified: [{ ok: true, findings: [], recordsChecked: 10 }],
  sent: { tokyo: { copies: 1 }, osaka: { copies: 0 } },
  nextSequence: 1001,
  migration: { nextSequence: 601 },
  marks,
  fsck: { exitCode: 0, output: 'fine' },
  fileSystem: true,
  left,
  writesWithoutA: 30,
  connectedAtFirst: connected,
  connectedAtLast: connected,
  sets,
};

function failedWith(change: object): ProofName[] {
  const proof = proofOf({ ...evidence, ...change } as unknown as Evidence);
  return proof.filter(({ ok }) => ok !== true).map(({ name }) => name);
}

const differs = {
  ...compared,
  equal: false,
  differences: [{ volume: 'db', offset: 0, length: 1 }],
};
const retaken = [connected[0], 'log from 127.0.0.1:5009'];
const unlike = { ...image, equal: false, differsAt: 7 };

describe('the proof of the demo', () => {
  test('has nothing to object to when all is as it has to be', () => {
    expect(failedWith({})).toEqual([]);
  });

  const changes: readonly (readonly [string, object, readonly ProofName[]])[] = [
    ['an image of kyoto is not as the witness has it', { comparisons: [unlike] }, ['witness-db']],
    [
      'the images of kyoto are not all that it has',
      { sets: { ...sets, c: { ...sets.c, images: { exact: false, reason: 'no' } } } },
      ['witness-db', 'witness-log'],
    ],
    ['the witness objects', { report: { ...report, content: false } }, ['witness']],
    ['the witness ended badly', { witnessExit: 2 }, ['witness']],
    ['the sets differ', { compared: differs }, ['equal']],
    ['the sets differed while the host wrote', { comparedLive: differs }, ['live']],
    ['e2fsck finds something', { fsck: { exitCode: 4, output: 'bad' } }, ['file-system']],
    ['a number was given to nothing', { nextSequence: 1002 }, ['numbers']],
    ['an acknowledged write has no number', { report: { ...report, numbers: 1001 } }, ['numbers']],
    [
      'tokyo sealed at another number than osaka went on from',
      { migration: { nextSequence: 602 } },
      ['numbers'],
    ],
    ['no mark was set behind the switch', { marks: [marks[0]] }, ['numbers']],
    [
      'kyoto lacks the last number',
      { sets: { ...sets, c: { ...sets.c, cursors: { applied: { sequence: 999 }, marks } } } },
      ['numbers'],
    ],
    ['a second full copy', { sent: { tokyo: { copies: 1 }, osaka: { copies: 1 } } }, ['one-copy']],
    ['a connection was made again', { connectedAtLast: retaken }, ['connections']],
    ['a connection was lost', { connectedAtLast: [connected[0]] }, ['connections']],
    ['nobody was ever connected', { connectedAtFirst: [], connectedAtLast: [] }, ['connections']],
    [
      'tokyo let a host in',
      { left: { ...left, refusal: { ...refusal, admitsHosts: true } } },
      ['one-writer'],
    ],
    [
      'tokyo took a write',
      { left: { ...left, refusal: { ...refusal, code: undefined } } },
      ['one-writer'],
    ],
    [
      'tokyo is not retired on disk',
      { sets: { ...sets, a: { ...sets.a, set: { role: 'primary' } } } },
      ['one-writer'],
    ],
    ['osaka needed tokyo still', { left: { ...left, wasNeeded: true } }, ['without-source']],
    ['the host stopped with tokyo', { writesWithoutA: 0 }, ['without-source']],
    [
      'a mark did not come to kyoto',
      { sets: { ...sets, c: { ...sets.c, cursors: { ...sets.c.cursors, marks: [marks[0]] } } } },
      ['marks'],
    ],
    ['a set is damaged', { verified: [{ ok: false, findings: [], recordsChecked: 1 }] }, ['sound']],
  ];

  test('says what it skipped when there is no file system', () => {
    const proof = proofOf({ ...evidence, fsck: undefined, fileSystem: false } as never);
    expect(proof.filter(({ ok }) => ok !== true)).toMatchObject([
      { name: 'file-system', ok: null, detail: 'skipped: mke2fs is not here' },
    ]);
  });

  test.each(changes)('fails when %s', (_what, change, failed) => {
    expect(failedWith(change)).toEqual(failed);
  });
});
