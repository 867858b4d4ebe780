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
    /** How long it waited for an answer at the switch, and at most otherwise. */
    readonly pauseMs: number;
    readonly slowestMs: number;
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
