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
export const OVERLAY_BYTES = 48 * MIB;

/** The applier starts when this much waits, or when the set has been quiet for a moment. */
export const APPLY_BYTES = 8 * MIB;
export const APPLY_IDLE_MS = 200;

/**
 * Under load images are synced, and the applied number moves, when so much was written to them: the
 * more, the more of it the page cache joins before it goes to the disk, and the longer a start has
 * to read the journal.
 */
const CHECKPOINT_BYTES = 128 * MIB;

/** The same for a journal of this size: a small one must be able to let go in time. */
export function checkpointBytesFor(journalBytes: number): number {
  return Math.min(CHECKPOINT_BYTES, Math.floor(journalBytes / 8));
}

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

/** How much of a copy may come before its progress is made durable, while more comes. */
export const COPY_PROGRESS_BYTES = 8 * MIB;

/** One frame of the link: its largest body, records and ranges included. */
export const FRAME_BODY_BYTES_MAX = 4 * MIB;

/** The size of one group of records that the sender takes from the journal at once. */
export const SEND_BATCH_BYTES = 256 * KIB;

/** How much a set moves at a time over its links. Simulations make all of it smaller. */
export interface TransferSizes {
  /** {@link COPY_RANGE_BYTES} */
  readonly rangeBytes: number;
  /** {@link SEND_BATCH_BYTES} */
  readonly batchBytes: number;
  /** {@link LINK_CREDIT_BYTES} */
  readonly creditBytes: number;
  /** {@link COPY_PROGRESS_BYTES} */
  readonly progressBytes: number;
}

export const TRANSFER_SIZES: TransferSizes = {
  rangeBytes: COPY_RANGE_BYTES,
  batchBytes: SEND_BATCH_BYTES,
  creditBytes: LINK_CREDIT_BYTES,
  progressBytes: COPY_PROGRESS_BYTES,
};

/**
 * What an NBD server may hold for all its clients together: payloads on their way in, replies that
 * are not taken yet, and a little for each request. One largest request comes on top, so that it
 * always fits.
 */
export const NBD_MEMORY_BYTES = 64 * MIB;

/** What a request counts beside its payload: about what it costs to keep track of it. */
export const NBD_REQUEST_OVERHEAD_BYTES = 256;

/** Connections to one server: dozens of hosts with a handful each. */
export const NBD_CONNECTIONS_MAX = 256;

/** Requests under way on one connection; the Linux kernel sends 128, libnbd's tools 64. */
export const NBD_REQUESTS_IN_FLIGHT_MAX = 256;

/** Connections that have not chosen an export yet, and how long they may take for it. */
export const NBD_HANDSHAKES_MAX = 100;
export const NBD_HANDSHAKE_MS = 10_000;

/** Names and other strings; the protocol's own limit. */
export const NBD_STRING_BYTES_MAX = 4096;

/** Data of one option: a name and a dozen of queries, each as long as they may be. */
export const NBD_OPTION_BYTES_MAX = 64 * KIB;

/** Replies that wait for one client; above it, no more of its requests are looked at. */
export const NBD_REPLIES_BYTES_MAX = 1 * MIB;

/**
 * While others wait for memory, a client that holds some must move so many bytes in so much time,
 * or is dropped: 100 KiB/s, slower than any network that one would put a disk on.
 */
export const NBD_STALL_MS = 10_000;
export const NBD_STALL_BYTES = 1 * MIB;

/** How long a stopping server lets requests finish, and an ending client take its last replies. */
export const NBD_STOP_MS = 10_000;

/** Extents in one answer to BLOCK_STATUS: asking again goes on where it ended. */
export const NBD_EXTENTS_MAX = 256;

/** The longest stretch that one NBD request names, where lengths have 32 bits. */
export const NBD_STRETCH_BYTES_MAX = 1 * GIB;

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
  /** How many segments hold records at most; with spares there are up to two files more. */
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

/** The control interface: connections at once, and what the JSON of one call may be. */
export const CONTROL_CONNECTIONS_MAX = 256;
export const CONTROL_BODY_BYTES_MAX = 1 * MIB;

/** How long hosts of a daemon wait for room in a full journal, unless a setting says otherwise. */
export const ROOM_WAIT_MS = 60_000;

/** Path controllers attached to one set. */
export const CONTROLLERS_MAX = 64;
/** Calls of one controller under way: it waits for news, and reports meanwhile. */
export const CONTROLLER_CALLS_MAX = 4;
/**
 * A set that was opened waits so long for each controller that was attached before: it may have to
 * write again what was lost. Then it goes on without, and that one's hosts are told of the loss.
 */
export const CONTROLLERS_GATHER_MS = 30_000;
/** How long all controllers may take to get ready for a switch, and to hold their hosts. */
export const CONTROLLERS_HOLD_MS = 5_000;
/** A hold that no seal follows ends after this long: the migration has stopped on its way. */
export const HOLD_LEASE_MS = 15_000;
/** Controllers hear of new durable numbers this often, unless there is other news. */
export const DURABLE_NEWS_MS = 20;

/** How long a host waits at a path controller while no set answers, unless a setting says so. */
export const PATH_HOLD_MS = 60_000;
/** What a path controller keeps of answered writes that are not durable yet, for one set. */
export const PATH_RETAINED_BYTES = 32 * MIB;
/** Exports of one path controller. */
export const PATH_EXPORTS_MAX = 256;
/** A set that is out of reach is looked for after this, then after longer. */
export const PATH_RETRY_FIRST_MS = 20;
export const PATH_RETRY_LAST_MS = 1_000;
