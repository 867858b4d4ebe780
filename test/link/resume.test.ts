/** The hello table, row by row: what follows when both sides have said what they have (R5). */
import { describe, expect, test } from '@jest/globals';
import type { ReceiverEpoch, Welcome } from '../../src/link/messages.ts';
import { decideResume } from '../../src/link/resume.ts';
import type { ResumeDecision, SenderView } from '../../src/link/resume.ts';

/** The epoch that the sender writes: numbers 100 to 119, of which 105 and later are kept. */
const SENDER: SenderView = {
  epoch: 3,
  epochId: 'three',
  first: 100,
  next: 120,
  sealed: false,
  firstKept: 105,
  chainBefore: (sequence) => (sequence >= 105 && sequence <= 120 ? chainOf(sequence) : undefined),
  copyDue: false,
  byMap: false,
  partial: false,
  copyBase: null,
  formerBases: [],
  isProven: () => false,
  acknowledged: 108,
};

function chainOf(sequence: number): number {
  return 7000 + sequence;
}

/** The peer has records of that epoch up to `next` - 1, all durable. */
function epoch(next: number, change: Partial<ReceiverEpoch> = {}): ReceiverEpoch {
  const chain = chainOf(next);
  return { epoch: 3, id: 'three', next, chain, durable: next - 1, sealed: false, ...change };
}

const EARLIER: ReceiverEpoch = {
  epoch: 2,
  id: 'two',
  next: 100,
  chain: 1,
  durable: 100,
  sealed: true,
};
const LATER: ReceiverEpoch = {
  epoch: 4,
  id: 'four',
  next: 125,
  chain: 1,
  durable: 124,
  sealed: false,
};

const BASE = { epoch: 3, sequence: 110, chain: 7111 };
const COPY = { base: BASE, volume: 1, offset: 8192, asOf: 112, complete: false };

function peer(epochs: readonly ReceiverEpoch[], change: Partial<Welcome> = {}): Welcome {
  const identity = { setId: 'c', name: 'kyoto', bootId: 'x' };
  return { ...identity, usable: true, copy: null, epochs: [...epochs], ...change };
}

/** The peer never acknowledged a record of this epoch. */
const UNHEARD: Partial<SenderView> = { acknowledged: 99 };

/** A copy of some blocks is due; whatever the peer says of its place is proven. */
const BLOCKS: Partial<SenderView> = {
  copyDue: true,
  byMap: true,
  partial: true,
  acknowledged: -1,
  isProven: () => true,
};

const resume = (from: number): ResumeDecision => ({ kind: 'resume', from });
const stop = (code: string, reason: RegExp) => ({
  kind: 'stop',
  code,
  reason: expect.stringMatching(reason) as unknown,
});
const SPLIT = 'E_SPLIT_BRAIN';

type Row = [what: string, sender: Partial<SenderView>, peer: Welcome, expected: object];

const ROWS: Row[] = [
  // In the epoch.
  ['in range, the chain matches', {}, peer([epoch(112)]), resume(112)],
  ['has everything', {}, peer([epoch(120)]), resume(120)],
  ['needs exactly the first that is kept', { acknowledged: 104 }, peer([epoch(105)]), resume(105)],
  ['received more than is durable there', {}, peer([epoch(112, { durable: 109 })]), resume(112)],
  ['in range, another chain', {}, peer([epoch(112, { chain: 5 })]), stop(SPLIT, /not the one/)],
  [
    'has everything, another chain',
    {},
    peer([epoch(120, { chain: 5 })]),
    stop(SPLIT, /not the one/),
  ],
  [
    'older than what is kept',
    { acknowledged: 90 },
    peer([epoch(104)]),
    stop('E_STATE', /keeps 105 and later; it needs a new copy/),
  ],
  [
    'ahead of what is here: this set lost records',
    {},
    peer([epoch(121)]),
    stop(SPLIT, /records were lost here/),
  ],
  [
    'has less than it acknowledged: rolled back, or a copy',
    {},
    peer([epoch(108)]),
    stop(SPLIT, /acknowledged 108.*rolled back/),
  ],
  ['has exactly what it acknowledged', {}, peer([epoch(109)]), resume(109)],
  [
    'has what it acknowledged, but only a part of the copy before that: rolled back, or a copy',
    {},
    peer([epoch(109)], { usable: false, copy: COPY }),
    stop(SPLIT, /only a part of a copy.*rolled back/),
  ],
  [
    'has the whole copy, and is not usable yet',
    {},
    peer([epoch(109)], { usable: false, copy: { ...COPY, complete: true } }),
    resume(109),
  ],
  [
    'holds another epoch of that number',
    {},
    peer([epoch(112, { id: 'other' })]),
    stop(SPLIT, /another epoch 3/),
  ],
  // Seals.
  ['sealed at both', { sealed: true }, peer([epoch(120, { sealed: true })]), { kind: 'finished' }],
  [
    'sealed there, not here',
    {},
    peer([epoch(120, { sealed: true })]),
    stop(SPLIT, /sealed there, but not here/),
  ],
  ['sealed here, records missing there', { sealed: true }, peer([epoch(115)]), resume(115)],
  ['sealed here, only the seal missing', { sealed: true }, peer([epoch(120)]), resume(120)],
  // Epochs that one of the two does not know.
  ['the epoch follows directly', { firstKept: 100, ...UNHEARD }, peer([EARLIER]), resume(100)],
  [
    'the epoch follows directly, and records of it were acknowledged',
    { firstKept: 100 },
    peer([EARLIER]),
    stop(SPLIT, /acknowledged 108: it was rolled back/),
  ],
  [
    'the epoch follows directly, but its beginning is not kept',
    UNHEARD,
    peer([EARLIER]),
    stop('E_STATE', /lacks the beginning.*new copy/),
  ],
  [
    'an epoch is missing in between',
    { firstKept: 100, ...UNHEARD },
    peer([{ ...EARLIER, epoch: 1 }]),
    stop('E_STATE', /knows nothing of epoch 3/),
  ],
  ['knows no epoch at all', UNHEARD, peer([]), stop('E_STATE', /never copied to; .* new copy/)],
  // Behind a successor.
  [
    'follows a successor, this set never sealed',
    {},
    peer([epoch(120), LATER]),
    stop(SPLIT, /never sealed its own/),
  ],
  [
    'stores a successor, this set still owes records',
    { sealed: true },
    peer([epoch(115), LATER]),
    resume(115),
  ],
  [
    'follows a successor and holds the seal',
    { sealed: true },
    peer([epoch(120, { sealed: true }), LATER]),
    { kind: 'finished' },
  ],
  [
    'follows a successor, this epoch is long forgotten',
    { sealed: true },
    peer([LATER]),
    { kind: 'finished' },
  ],
  [
    'stores a successor, and another epoch 3 than this',
    { sealed: true },
    peer([epoch(115, { id: 'other' }), LATER]),
    stop(SPLIT, /another epoch 3/),
  ],
  [
    'a copy is due, but it follows a successor',
    { copyDue: true },
    peer([LATER]),
    stop(SPLIT, /never sealed its own/),
  ],
  // Copies.
  ['a copy is due, none was begun', { copyDue: true }, peer([]), { kind: 'begin-copy' }],
  [
    'a copy is due, the peer holds something of this epoch',
    { copyDue: true },
    peer([epoch(112)], { usable: false }),
    { kind: 'begin-copy' },
  ],
  [
    'the copy goes on where it was',
    { copyDue: true, copyBase: BASE, acknowledged: 110 },
    peer([epoch(112)], { usable: false, copy: COPY }),
    { kind: 'continue-copy', copy: COPY, from: 112, again: false },
  ],
  ...(['epoch', 'sequence', 'chain'] as const).map((field): Row => [
    `another copy is under way there: its base has another ${field}`,
    { copyDue: true, copyBase: BASE, acknowledged: 110 },
    peer([epoch(112)], {
      usable: false,
      copy: { ...COPY, base: { ...BASE, [field]: BASE[field] + 1 } },
    }),
    { kind: 'begin-copy' },
  ]),
  [
    'a copy was begun here, and not there',
    { copyDue: true, copyBase: BASE, acknowledged: 110 },
    peer([], { usable: false }),
    { kind: 'begin-copy' },
  ],
  [
    'the copy goes on, but its records were lost there',
    { copyDue: true, copyBase: BASE, acknowledged: 115 },
    peer([epoch(112)], { usable: false, copy: COPY }),
    { kind: 'begin-copy' },
  ],
  [
    'the copy was completed, and this set was not told',
    { copyDue: true, copyBase: BASE, acknowledged: 110 },
    peer([epoch(115)]),
    resume(115),
  ],
  [
    'completed, not told, and another history',
    { copyDue: true, copyBase: BASE, acknowledged: 110 },
    peer([epoch(115, { chain: 5 })]),
    stop(SPLIT, /not the one/),
  ],
  // Copies of the blocks that dirty maps name: what is not copied must be proven to be there.
  [
    'only blocks are due, but the journal still has all that it lacks',
    { ...BLOCKS, isProven: () => false },
    peer([epoch(112)]),
    resume(112),
  ],
  [
    'only blocks are due, it stands at a proven place that is not kept',
    BLOCKS,
    peer([epoch(102)]),
    { kind: 'begin-copy' },
  ],
  [
    'only blocks are due, it stands at the end of a proven epoch',
    BLOCKS,
    peer([EARLIER]),
    { kind: 'begin-copy' },
  ],
  [
    'only blocks are due, its place is not proven',
    { ...BLOCKS, isProven: () => false },
    peer([epoch(102)]),
    stop('E_STATE', /not proven.*new copy/),
  ],
  [
    'only blocks are due, it lacks the end of an earlier epoch',
    { ...BLOCKS, isProven: ({ epoch: of }) => of === 2 },
    peer([{ ...EARLIER, sealed: false }, epoch(112)]),
    { kind: 'begin-copy' },
  ],
  [
    'only blocks are due, it is not usable and in no copy',
    BLOCKS,
    peer([epoch(102)], { usable: false }),
    stop('E_STATE', /not proven/),
  ],
  [
    'only blocks are due, it is in an earlier copy of this set',
    { ...BLOCKS, formerBases: [BASE] },
    peer([], { usable: false, copy: COPY }),
    { kind: 'begin-copy' },
  ],
  [
    'only blocks are due, it is in a copy that this set does not know',
    { ...BLOCKS, formerBases: [{ ...BASE, chain: 1 }] },
    peer([epoch(112)], { usable: false, copy: COPY }),
    stop('E_STATE', /not proven/),
  ],
  [
    'it was told of this copy, and has not begun its run',
    { ...BLOCKS, copyBase: BASE },
    peer([], { usable: false, copy: COPY }),
    { kind: 'continue-copy', copy: COPY, from: 111, again: true },
  ],
  [
    'it was told of this copy, whose records are not kept any more',
    { ...BLOCKS, copyBase: BASE, firstKept: 115 },
    peer([], { usable: false, copy: COPY }),
    { kind: 'begin-copy' },
  ],
];

describe('[R5] the hello table: the peer', () => {
  test.each(ROWS)('%s', (_, sender, welcome, expected) => {
    expect(decideResume({ ...SENDER, ...sender }, welcome)).toEqual(expected);
  });

  test('every number that it could need is resumed at, or refused for a reason', () => {
    for (let next = 100; next <= 122; next += 1) {
      const { kind } = decideResume({ ...SENDER, acknowledged: 0 }, peer([epoch(next)]));
      expect([next, kind]).toEqual([next, next >= 105 && next <= 120 ? 'resume' : 'stop']);
    }
  });
});
