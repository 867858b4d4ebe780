/** A migration from tokyo to osaka while kyoto follows, as the pure parts see it. */
import type { MigrationId, PairId, SetId } from '../../src/base/ids.ts';
import type { HandoverEntry, PeerIdentity } from '../../src/format/set-file.ts';
import type { Migration } from '../../src/migration/machine.ts';
import type { PartyFacts } from '../../src/migration/ports.ts';

export const HANDOVER: HandoverEntry = {
  epoch: 1,
  nextSequence: 12,
  journalCursor: 8,
  restoredSequence: 7,
  marks: [],
  sealRecord: 'abcd',
  cursorEpoch: 1,
  relayHead: '',
  lineage: [],
  bases: [],
  owesAll: false,
  behindSinceMs: null,
};

export const TOKYO = party('tokyo', 'a');
export const OSAKA = party('osaka', 'b');
export const KYOTO = party('kyoto', 'c');

function party(name: string, digit: string): PeerIdentity {
  return { setId: digit.repeat(32) as SetId, name, address: `/${name}` };
}

export function migrationIn(state: Migration['state']): Migration {
  const past = state === 'copying' || state === 'done';
  return {
    id: '1'.repeat(32) as MigrationId,
    side: 'target',
    mode: 'drain',
    copy: 'post',
    state,
    source: TOKYO,
    target: OSAKA,
    secondary: KYOTO,
    pair: { id: '2'.repeat(32) as PairId, ack: 'local' },
    handover: past ? HANDOVER : null,
    sourceLost: false,
    reason: '',
  };
}

const VOLUMES = [
  { name: 'data', sizeBytes: 8192 },
  { name: 'log', sizeBytes: 4096 },
];

const PAIR = { id: '2'.repeat(32) as PairId, ack: 'local', state: 'paired' } as const;

export const SOURCE_FACTS: PartyFacts = {
  identity: TOKYO,
  groupId: 'g',
  role: 'primary',
  state: 'paired',
  sealedFor: null,
  migrationId: null,
  volumes: VOLUMES,
  blank: false,
  pair: { ...PAIR, peer: KYOTO },
  epochId: 'e'.repeat(32),
  knownEpochIds: ['e'.repeat(32)],
  followsEpoch: true,
  lagEntries: 3,
  usable: false,
};

export const TARGET_FACTS: PartyFacts = {
  ...SOURCE_FACTS,
  identity: OSAKA,
  state: 'simplex',
  blank: true,
  pair: null,
  lagEntries: 0,
};

export const SECONDARY_FACTS: PartyFacts = {
  ...SOURCE_FACTS,
  identity: KYOTO,
  role: 'secondary',
  pair: { ...PAIR, peer: TOKYO },
  usable: true,
};
