/** What the demo ends with: its numbers and its proof. */
import type {
  CompareAnswer,
  ImportAnswer,
  MigrateAnswer,
  ReplicateAnswer,
  SentStatus,
  VerifyAnswer,
} from '../../node/answers.ts';
import type { WitnessComparison, WitnessReport } from './witness.ts';

export type ProofName =
  | 'witness'
  | 'witness-db'
  | 'witness-log'
  | 'live'
  | 'equal'
  | 'file-system'
  | 'numbers'
  | 'one-copy'
  | 'one-writer'
  | 'connections'
  | 'without-source'
  | 'marks'
  | 'sound';

/** One line of the proof. */
export interface Proof {
  readonly name: ProofName;
  /** Null when it could not be tried on this machine. */
  readonly ok: boolean | null;
  readonly claim: string;
  readonly detail: string;
}

export interface DemoMark {
  readonly name: string;
  readonly sequence: number;
}

/** The most that was seen of one daemon. */
export interface DaemonUsage {
  readonly name: string;
  readonly residentBytes: number;
  /** For how long it could do nothing else. */
  readonly longestStallMs: number;
}

export interface DemoAnswer {
  readonly proved: boolean;
  readonly proof: readonly Proof[];
  readonly seconds: number;
  /** Where the three sets are; null when they are gone. */
  readonly folder: string | null;
  readonly host: {
    readonly writes: number;
    readonly writtenBytes: number;
    readonly reads: number;
    /** The longest that it waited for an answer around the switch, and otherwise. */
    readonly pauseMs: number;
    readonly slowestMs: number;
  };
  readonly controller: {
    /** From hold to release at the switch; null when it held nobody. */
    readonly heldMs: number | null;
    /** The host's connections: the export, and where it comes from. */
    readonly connections: readonly string[];
  };
  readonly daemons: readonly DaemonUsage[];
  readonly imported: ImportAnswer;
  readonly volumeBytes: number;
  readonly firstCopy: ReplicateAnswer;
  /** What each primary has sent, by its own count. */
  readonly sent: { readonly tokyo: SentStatus; readonly osaka: SentStatus };
  readonly migration: MigrateAnswer;
  /** How long kyoto was seen to be owed records by both at once. */
  readonly bothSentMs: number;
  /** Whether tokyo's folder was deleted when it was switched off. */
  readonly sourceDeleted: boolean;
  /** Writes that the host was answered after that. */
  readonly writesWithoutA: number;
  readonly restoredSequence: number;
  readonly marks: readonly DemoMark[];
  /** Osaka against kyoto while the host wrote, and when all was closed. */
  readonly comparedLive: CompareAnswer;
  readonly compared: CompareAnswer;
  readonly verified: readonly VerifyAnswer[];
  readonly witness: {
    readonly report: WitnessReport;
    readonly images: readonly WitnessComparison[];
  };
}
