/** What the demo ends with: its numbers and its proof. */
import type {
  CompareAnswer,
  ImportAnswer,
  MigrateAnswer,
  ReplicateAnswer,
  VerifyAnswer,
} from '../../node/answers.ts';
import type { WitnessComparison, WitnessReport } from './witness.ts';

export type ProofName =
  | 'witness'
  | 'witness-db'
  | 'witness-log'
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
    readonly pauseMs: number;
    readonly slowestMs: number;
  };
  readonly imported: ImportAnswer;
  readonly volumeBytes: number;
  readonly firstCopy: ReplicateAnswer;
  readonly migration: MigrateAnswer;
  /** How long kyoto was taking records from both at once. */
  readonly bothSentMs: number;
  readonly restoredSequence: number;
  readonly marks: readonly DemoMark[];
  readonly compared: CompareAnswer;
  readonly verified: readonly VerifyAnswer[];
  readonly witness: {
    readonly report: WitnessReport;
    readonly images: readonly WitnessComparison[];
  };
}
