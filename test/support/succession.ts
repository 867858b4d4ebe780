/** A migration's two ends in words: the seal at A, the acceptance at B, and a source that fails. */
import { RcopyError } from '../../src/base/errors.ts';
import type { MigrationId, PairId, SetId } from '../../src/base/ids.ts';
import type { MigrationEntry, PeerIdentity, SealEntry } from '../../src/format/set-file.ts';
import type { AbsentSource, FetchedRange } from '../../src/imageset/contents.ts';
import type { ImageSet } from '../../src/imageset/image-set.ts';

export const MIGRATION = '5a'.repeat(16) as MigrationId;
export const OTHER_MIGRATION = '5b'.repeat(16) as MigrationId;
export const SECONDARY: PeerIdentity = {
  setId: 'cc'.repeat(16) as SetId,
  name: 'sapporo',
  address: '/sapporo',
};

export function peerOf(set: ImageSet): PeerIdentity {
  return { setId: set.file.setId, name: set.file.name, address: set.folder };
}

/** What B keeps of a migration once A has given its management information. */
export function migrationTo(
  target: ImageSet,
  source: PeerIdentity,
  seal: SealEntry,
): MigrationEntry {
  return {
    id: MIGRATION,
    side: 'target',
    mode: 'drain',
    copy: 'post',
    state: 'switching',
    source,
    target: peerOf(target),
    secondary: SECONDARY,
    pair: { id: 'dd'.repeat(16) as PairId, ack: 'local' },
    handover: {
      epoch: seal.epoch,
      nextSequence: seal.nextSequence,
      journalCursor: seal.nextSequence,
      restoredSequence: seal.nextSequence - 1,
      marks: [],
      sealRecord: seal.record,
      cursorEpoch: seal.epoch,
      relayHead: '',
      lineage: [],
      bases: [],
      owesAll: true,
      behindSinceMs: null,
    },
    sourceLost: false,
    reason: '',
  };
}

/** Nothing was copied ahead, and no map says what the secondary lacks. */
export const NO_MAPS = { owed: [], changed: null };

/** A source whose volumes stand still; out of reach whenever `reachable` says so. */
export class StillSource implements AbsentSource {
  reachable: () => boolean = () => true;
  fetches = 0;
  private readonly volumes: readonly Buffer[];
  private readonly bytesMax: number;

  constructor(volumes: readonly Buffer[], bytesMax = 16 * 1024) {
    this.volumes = volumes;
    this.bytesMax = bytesMax;
  }

  async fetch(volume: number, offset: number, length: number): Promise<FetchedRange> {
    this.fetches += 1;
    await Promise.resolve();
    if (!this.reachable()) throw new RcopyError('E_UNREACHABLE', 'the source is out of reach');
    const given = Math.min(length, this.bytesMax);
    const data = this.volumes[volume]?.subarray(offset, offset + given);
    return { length: given, data: data?.every((byte) => byte === 0) ? undefined : data };
  }
}
