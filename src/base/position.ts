/**
 * Where something stands in the history of a group: an epoch and a sequence number in it, and the
 * chain value (the CRC of that record's header) that proves that two sets mean the same record.
 */

/** One place in the history. */
export interface Position {
  readonly epoch: number;
  readonly sequence: number;
}

/** A place together with the proof of what is there. */
export interface ProvenPosition extends Position {
  readonly chain: number;
}

/** Negative, zero or positive as `a` stands before, at or after `b`. */
export function comparePositions(a: Position, b: Position): number {
  return a.epoch - b.epoch || a.sequence - b.sequence;
}

/** Whether both are the same record of the same history. */
export function sameProven(one: ProvenPosition, other: ProvenPosition): boolean {
  return one.epoch === other.epoch && one.sequence === other.sequence && one.chain === other.chain;
}
