/**
 * All limits in one place (R9): what is bounded, by how much, and why. Limits that depend on a
 * set's settings are computed here too, so that nobody computes them twice.
 */

export const KIB = 1024;
export const MIB = 1024 * KIB;
export const GIB = 1024 * MIB;
export const TIB = 1024 * GIB;

/** Blocks of presence and dirty maps. */
export const MAP_BLOCK_BYTES = 4 * KIB;

/** The largest host request; what NBD clients take for granted. */
export const REQUEST_BYTES_MAX = 32 * MIB;

/** Payload of one record; a longer host request becomes several records. */
export const RECORD_PAYLOAD_BYTES_MAX = 1 * MIB;

/** One volume; sparse files on the usual Linux file systems end a little above this. */
export const VOLUME_BYTES_MAX = 8 * TIB;

/** Volumes in one image set: their sequence is shared, so they also share its speed. */
export const VOLUMES_MAX = 64;

/** Journal sizes (`--journal-size`). */
export const JOURNAL_BYTES_DEFAULT = 1 * GIB;
export const JOURNAL_SEGMENTS_MIN = 4;
export const SEGMENT_BYTES_MIN = 32 * MIB;
export const SEGMENT_BYTES_MAX = 64 * MIB;
export const JOURNAL_BYTES_MIN = JOURNAL_SEGMENTS_MIN * SEGMENT_BYTES_MIN;
export const JOURNAL_BYTES_MAX = 1 * TIB;

/** Room that host records never take, so that a set can always seal its epoch. */
export const SEAL_RESERVE_BYTES = 4 * KIB;

/** Without any FLUSH, records are synced after this much time or this many bytes (R3). */
export const SYNC_INTERVAL_MS = 50;
export const SYNC_BYTES = 8 * MIB;

/** Payload bytes of writes that are not in the images yet; past it, hosts are slowed. */
export const OVERLAY_BYTES = 64 * MIB;

/** The applier starts when this much waits, or when the set has been quiet for a moment. */
export const APPLY_BYTES = 8 * MIB;
export const APPLY_IDLE_MS = 200;

/** Names of sets, volumes and marks. */
export const NAME_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** Marks and epochs that the cursors remember; older ones are history. Both must fit a slot. */
export const MARKS_REMEMBERED = 8;
export const EPOCHS_REMEMBERED = 8;

/**
 * Records whose chain values set.json keeps once the journal may drop them: more than can be on
 * their way to a secondary ({@link LINK_RECORDS_MAX}), so that it can always prove where it stands.
 */
export const LINEAGE_RECORDS_MAX = 16 * KIB;

/**
 * With `--ack remote`: how long FLUSH and FUA wait for a secondary that is out of reach, or makes
 * nothing durable. Well below what hosts put up with (30 s is usual).
 */
export const ACK_TIMEOUT_MS_DEFAULT = 5_000;

/** One range of a copy or of an on-demand fetch. */
export const COPY_RANGE_BYTES = 1 * MIB;

/** What a sender may have on its way, unacknowledged, before it waits (credits). */
export const LINK_CREDIT_BYTES = 16 * MIB;

/** One frame of the link: its largest body, records and ranges included. */
export const FRAME_BODY_BYTES_MAX = 4 * MIB;

/** The size of one group of records that the sender takes from the journal at once. */
export const SEND_BATCH_BYTES = 256 * KIB;

/**
 * Records on their way to a secondary, as far as the primary's cursors know: half of what the
 * lineage can speak of, so that wherever a secondary was cut off it can prove where it stands.
 */
export const LINK_RECORDS_MAX = LINEAGE_RECORDS_MAX / 2;

/** One beat of a link over a network: how often an end speaks that has nothing to say. */
export const LINK_BEAT_MS = 2_000;
/** A link that brought nothing for so many beats is dead: half-open, or in a black hole. */
export const LINK_SILENT_BEATS = 5;
/** A link whose queue did not drain for so many beats: its peer speaks, but does not read. */
export const LINK_STUCK_BEATS = 150;
/** An end that was announced is given so long to be seen through, before the stream is dropped. */
export const LINK_END_MS = 5_000;
/** A stream that was taken, and on which nobody says who he is. */
export const LINK_HELLO_MS = 10_000;
/** How long it may take to reach a peer. */
export const LINK_DIAL_MS = 10_000;

/** Streams that other sets have dialled: those that have not said hello, and those that ask. */
export const LINKS_WITHOUT_HELLO_MAX = 32;
export const LINKS_ASKING_MAX = 64;
/** Calls of other sets under way, each with its answer until that has gone: of one link, of all. */
export const LINK_CALLS_MAX = 8;
export const NODE_CALLS_MAX = 32;

/** A link that is kept is dialled again after this, then after longer, with jitter. */
export const RETRY_FIRST_MS = 250;
export const RETRY_LAST_MS = 30_000;
/** Refused for a reason that needs a person: looked at again only now and then. */
export const RETRY_REFUSED_MS = 60_000;

/** Sizes of one set's journal, chosen at creation and kept in set.json. */
export interface JournalSizes {
  /** Size of one segment file. */
  readonly segmentBytes: number;
  /** How many segments hold records at most; up to two spares come on top. */
  readonly segmentsMax: number;
  /** Payload of one record. */
  readonly recordPayloadBytesMax: number;
  /** The largest host request. */
  readonly requestBytesMax: number;
}

/** The sizes for a journal of about `capacityBytes`. */
export function journalSizesFor(capacityBytes: number): JournalSizes {
  const segmentBytes =
    capacityBytes >= 16 * SEGMENT_BYTES_MAX ? SEGMENT_BYTES_MAX : SEGMENT_BYTES_MIN;
  return {
    segmentBytes,
    segmentsMax: Math.max(JOURNAL_SEGMENTS_MIN, Math.floor(capacityBytes / segmentBytes)),
    recordPayloadBytesMax: RECORD_PAYLOAD_BYTES_MAX,
    requestBytesMax: REQUEST_BYTES_MAX,
  };
}
