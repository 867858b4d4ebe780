/** What both ends of the control interface have to agree on, beside the tables of calls. */

/** The version of all calls: the first part of every path. */
export const API = '/v1';

/** One line of the answer to a call that lasts, as `application/x-ndjson`. */
export const ANSWER_LINES = 'application/x-ndjson';

/** What a link between image sets asks its connection to become. */
export const LINK_PROTOCOL = 'rcopy-link/1';

/** What the NBD stream of a path controller asks its connection to become. */
export const NBD_PROTOCOL = 'rcopy-nbd/1';

/** A line that says only that the answer is still to come is sent this often, in milliseconds. */
export const ALIVE_INTERVAL_MS = 5_000;

/** After this long without a byte the other end counts as gone, in milliseconds. */
export const SILENCE_MS = 30_000;
