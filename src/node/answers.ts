/** What a node answers: the types here are the shapes of `--json` (CLI.md is the contract). */
import type { Finding } from '../base/finding.ts';
import type { ControllerStatus } from './path-calls.ts';
import type { Ack, SetFile } from '../format/set-file.ts';

/** States of a set, with the field's own names: SMPL, COPY, PAIR, PSUS, PSUE, SSWS. */
export type SetState =
  | 'simplex'
  | 'copying'
  | 'paired'
  | 'split'
  | 'suspended'
  | 'journal-full'
  | 'takeover'
  | 'sealed'
  | 'migrating'
  | 'retired';

/** States of a pair; `journal-full` only at the primary, while hosts wait. */
export type PairState = 'copying' | 'paired' | 'split' | 'suspended' | 'journal-full' | 'takeover';

export type MigrationState =
  | 'prepared'
  | 'precopying'
  | 'switching'
  | 'copying'
  | 'done'
  | 'aborted';
export type MigrationMode = 'drain' | 'handoff' | 'bitmap';
export type MigrationCopy = 'post' | 'pre';

/** What a journal does that is full of what the secondary lacks. */
export type WhenFull = SetFile['journal']['whenFull'];

export interface CreateAnswer {
  readonly changed: boolean;
  readonly set: { readonly id: string; readonly name: string; readonly path: string };
  readonly volumes: readonly { readonly name: string; readonly size: number }[];
  readonly journal: { readonly capacityBytes: number; readonly whenFull: WhenFull };
}

export interface WriteAnswer {
  readonly volume: string;
  readonly offset: number;
  readonly length: number;
  readonly firstSequence: number;
  readonly lastSequence: number;
}

export interface ImportAnswer extends WriteAnswer {
  /** Bytes that were data in the image file; the rest were holes and stay holes. */
  readonly dataBytes: number;
}

export interface ExportAnswer {
  readonly volume: string;
  readonly length: number;
  readonly dataBytes: number;
  readonly sequence: number;
}

export interface MarkAnswer {
  readonly name: string;
  readonly sequence: number;
}

export interface PairAnswer {
  readonly changed: boolean;
  /** A daemon sends by itself what the secondary lacks. */
  readonly kept?: boolean;
  readonly pair: {
    readonly id: string;
    readonly primary: string;
    readonly secondary: string;
    readonly state: string;
    readonly ack: Ack;
  } | null;
}

/** Of commands that also replicate when they are told to. */
export type ReplicatedPairAnswer = PairAnswer & { readonly replicated?: ReplicateAnswer };

export interface TakeoverAnswer {
  readonly changed: boolean;
  /** The old primary was not asked: what it took and did not send is not here. */
  readonly forced: boolean;
  /** The epoch that this set writes now. */
  readonly epoch: number;
  /** The newest number of the history that goes on here. */
  readonly sequence: number;
  /** The number that the next write gets. */
  readonly nextSequence: number;
  readonly from: { readonly name: string; readonly address: string };
  /** The newest mark that is part of it. */
  readonly lastMark: { readonly name: string; readonly sequence: number } | null;
}

export interface ReplicateAnswer {
  /** Numbered records sent by this call. */
  readonly sentRecords: number;
  readonly sentBytes: number;
  /** Data bytes of copied ranges sent by this call; 0 when no copy was due. */
  readonly copiedBytes: number;
  /** Full copies begun by this call. */
  readonly copies: number;
  readonly restoredSequence: number;
  readonly nextSequence: number;
  readonly state: string;
  readonly seconds: number;
}

export interface SentStatus {
  readonly records: number;
  /** Bytes of records, headers included. */
  readonly bytes: number;
  /** Bytes of copied ranges; holes count nothing. */
  readonly copiedBytes: number;
  /** Full copies that were begun. */
  readonly copies: number;
}

export interface WaitAnswer {
  readonly sequence: number;
  readonly restoredSequence: number;
}

export interface Lag {
  /** Numbers that the secondary has not made durable. */
  readonly entries: number;
  /** Bytes of their records; where dirty maps say what is lacking, bytes of those blocks. */
  readonly bytes: number;
  /** Age of the oldest of them; null when the journal does not have it any more. */
  readonly seconds: number | null;
}

export interface SourceStatus {
  readonly setId: string;
  readonly epoch: number;
  /** Lowest and highest number that it still owes; null when nobody can tell yet. */
  readonly from: number;
  readonly to: number | null;
}

/** The process that serves a set. */
export interface DaemonStatus {
  readonly pid: number;
  /** ISO 8601. */
  readonly startedAt: string;
  /** The longest time for which it could do nothing else, in milliseconds, since it started. */
  readonly longestStallMs: number;
  /** Its memory, in bytes. */
  readonly residentBytes: number;
}

/** A host that is connected to a daemon's set. */
export interface HostStatus {
  readonly address: string;
  readonly export: string;
  readonly readBytes: number;
  readonly writtenBytes: number;
  /** It is a path controller. */
  readonly attached: boolean;
}

/** One limit (R9); the name ends with its unit where that is not a count. */
export interface LimitStatus {
  readonly name: string;
  readonly used: number;
  readonly limit: number;
}

export interface Health {
  readonly healthy: boolean;
  readonly word: string;
  readonly reason: string;
  readonly next: string | null;
}

export interface StatusAnswer {
  readonly set: {
    readonly id: string;
    readonly name: string;
    readonly role: SetFile['role'];
    readonly state: SetState;
    readonly epoch: number;
    readonly path: string;
  };
  readonly volumes: readonly {
    readonly name: string;
    readonly size: number;
    /** Share of the blocks that are here; 1 but on a migration target. */
    readonly present: number;
  }[];
  readonly journal: {
    readonly nextSequence: number;
    readonly durableSequence: number;
    readonly appliedSequence: number;
    readonly firstSequence: number;
    readonly bytes: number;
    readonly capacityBytes: number;
    readonly whenFull: WhenFull;
  };
  readonly pair: {
    readonly state: PairState;
    /** Can the secondary's data be used? On a primary: by its last word; null when never heard. */
    readonly usable: boolean | null;
    readonly link: 'up' | 'down';
    readonly reason: string;
    /** A daemon has this set: the link is dialled, or waited for, by itself. */
    readonly kept: boolean;
    /** Since when the link is down, ISO 8601; null while it is up. */
    readonly downSince: string | null;
    /** When FLUSH and FUA are answered, as asked for. */
    readonly ack: Ack;
    /** Remote acknowledgement was asked for, and is not given now; `ackReason` says why. */
    readonly ackDegraded: boolean;
    readonly ackReason: string;
    readonly peer: { readonly name: string; readonly setId: string; readonly address: string };
    /** The lowest number that the secondary has not yet made durable. */
    readonly journalCursor: number;
    readonly durableSequence: number;
    readonly restoredSequence: number;
    /** On a secondary: as its primary last said it; null when it was not told. */
    readonly lag: Lag | null;
    /** How long ago the lag was measured, in seconds: 0 on a primary. */
    readonly lagAgeSeconds: number | null;
    /** Of anything that came; ISO 8601; null when nothing did since the set was opened. */
    readonly lastContact: string | null;
    /** What this primary has sent since it was opened: how much, and whether it had to copy. */
    readonly sent?: SentStatus;
    readonly sources?: readonly SourceStatus[];
  } | null;
  readonly migration: {
    readonly id: string;
    readonly state: MigrationState;
    readonly side: 'source' | 'target';
    readonly mode: MigrationMode;
    readonly copy: MigrationCopy;
    readonly source: { readonly name: string; readonly address: string };
    readonly epoch: number;
    readonly nextSequence: number;
    readonly remainingBytes: number;
    readonly remainingEntries: number;
    /** Something would be lost with the source; false when it may be deleted. */
    readonly sourceNeeded: boolean;
  } | null;
  readonly seal: { readonly nextSequence: number; readonly successor: string } | null;
  /** The daemon that serves the set; null when a command has it open by itself. */
  readonly daemon: DaemonStatus | null;
  readonly hosts: readonly HostStatus[];
  /** Path controllers that the set knows of: hosts reach it through them. */
  readonly controllers: readonly ControllerStatus[];
  /** What is bounded, and how much of it is in use; more of it in a daemon. */
  readonly limits: readonly LimitStatus[];
  /** healthy, or the reason why not, and the next command to run. */
  readonly health: Health;
  /** What opening the set found: a torn tail that was cut, a bad cursor slot. */
  readonly notices: readonly string[];
}

export interface MigrateAnswer {
  readonly changed: boolean;
  readonly migrationId: string;
  readonly mode: MigrationMode;
  readonly copy: MigrationCopy;
  /** The epoch that the target writes. */
  readonly epoch: number;
  /** N: the first number that the target gave, or gives. */
  readonly nextSequence: number;
  /** What A handed over: the lowest number that C had not yet made durable. */
  readonly journalCursor: number;
  /** From the moment the source stopped answering hosts until the target could. */
  readonly switchPauseMs: number;
  readonly copiedBytes: number;
  readonly state: MigrationState;
}

/** One reason why a migration cannot start now. */
export interface PrecheckAnswer {
  readonly ready: boolean;
  readonly checks: readonly {
    readonly name: string;
    readonly ok: boolean;
    readonly detail: string;
  }[];
}

export interface MigrationStatusAnswer {
  readonly migration: {
    readonly id: string;
    readonly state: MigrationState;
    readonly side: 'source' | 'target';
    readonly mode: MigrationMode;
    readonly copy: MigrationCopy;
    readonly source: { readonly name: string; readonly address: string };
    readonly target: { readonly name: string; readonly address: string };
    readonly secondary: { readonly name: string; readonly address: string };
    readonly nextSequence: number | null;
    readonly journalCursor: number | null;
    readonly remainingBytes: number;
    readonly remainingEntries: number;
    /** Something would be lost with the source; false when it may be deleted. */
    readonly sourceNeeded: boolean;
    /** The target has sealed its epoch back to the source: only `migrate abort` goes on. */
    readonly returning: boolean;
    readonly reason: string;
  } | null;
}

/** What reading everything found. */
export interface VerifyAnswer {
  readonly ok: boolean;
  readonly set: string;
  readonly recordsChecked: number;
  readonly bytesChecked: number;
  /** Image against journal: ranges whose image differs from what the journal says was applied. */
  readonly findings: readonly Finding[];
}

export interface CompareAnswer {
  readonly equal: boolean;
  /** The number as of which both were read. */
  readonly sequence: number;
  readonly bytesCompared: number;
  readonly differences: readonly {
    readonly volume: string;
    readonly offset: number;
    readonly length: number;
  }[];
}

/** Progress of something long. */
export interface Progress {
  readonly step: string;
  readonly doneBytes: number;
  /** Undefined where the total is not known. */
  readonly totalBytes: number | undefined;
}

export type OnProgress = (progress: Progress) => void;
