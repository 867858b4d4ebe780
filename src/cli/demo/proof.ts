/** What the demo proves, line by line, from what was measured. Pure. */
import type { ErrorCode } from '../../base/errors.ts';
import type { InspectAnswer } from '../../control/inspect.ts';
import type {
  CompareAnswer,
  MigrateAnswer,
  ReplicateAnswer,
  VerifyAnswer,
} from '../../node/answers.ts';
import { counted, formatCount, formatSize } from '../../base/sizes.ts';
import type { DemoMark, Proof } from './answer.ts';
import type { ProgramEnd } from './programs.ts';
import type { WitnessComparison, WitnessReport } from './witness.ts';

/** How the sealed set answered a write. */
export interface Refusal {
  /** Undefined when it did not refuse. */
  readonly code: ErrorCode | undefined;
  readonly message: string;
}

export interface Evidence {
  readonly report: WitnessReport;
  readonly comparisons: readonly WitnessComparison[];
  readonly witnessExit: number;
  readonly compared: CompareAnswer;
  readonly verified: readonly VerifyAnswer[];
  /** Full copies that each primary has begun, by its own count. */
  readonly copies: { readonly tokyo: number; readonly osaka: number };
  /** Of every replication in order, the first copy first. */
  readonly answers: readonly ReplicateAnswer[];
  readonly migration: MigrateAnswer;
  readonly marks: readonly DemoMark[];
  /** Undefined when it could not be run. */
  readonly fsck: ProgramEnd | undefined;
  /** Whether the volume holds a file system at all. */
  readonly fileSystem: boolean;
  readonly sealed: Refusal;
  readonly sets: { readonly [set in 'a' | 'b' | 'c']: InspectAnswer };
}

export function proofOf(evidence: Evidence): Proof[] {
  return [
    ...evidence.comparisons.map((comparison) => imageProof(comparison, evidence)),
    witnessProof(evidence),
    equalProof(evidence),
    fileSystemProof(evidence),
    numbersProof(evidence),
    copyProof(evidence),
    writerProof(evidence),
    marksProof(evidence),
    soundProof(evidence),
  ];
}

/** Characters of a SHA-256 that are shown; the JSON has them all. */
const HASH_SHOWN = 12;

/** The set's own word that its images are exact is part of it: nothing may wait in its journal. */
function imageProof(comparison: WitnessComparison, { sets }: Evidence): Proof {
  const { volume, equal, differsAt, referenceSha256, imageSha256 } = comparison;
  const { exact, reason } = sets.c.images;
  const shown = [referenceSha256, imageSha256].map((hash) => hash.slice(0, HASH_SHOWN));
  const detail = equal ? `sha256 ${shown.join(' = ')}` : `they differ from byte ${differsAt} on`;
  return {
    name: volume === 'db' ? 'witness-db' : 'witness-log',
    ok: equal && exact,
    claim: `kyoto's ${volume} is the witness's`,
    detail: exact ? detail : reason,
  };
}

function witnessProof({ report, witnessExit }: Evidence): Proof {
  const { content, problems, acknowledged, reads } = report;
  const ok = content && witnessExit === 0;
  return {
    name: 'witness',
    ok,
    claim: 'the witness has no objection',
    detail: ok
      ? `${formatCount(acknowledged)} acknowledged, ${counted(reads, 'read')} right`
      : (problems[0] ?? `it ended with ${witnessExit}`),
  };
}

function equalProof({ compared }: Evidence): Proof {
  const { equal, bytesCompared, sequence, differences } = compared;
  const size = formatSize(bytesCompared);
  return {
    name: 'equal',
    ok: equal,
    claim: 'osaka and kyoto hold the same',
    detail: equal
      ? `${size} compared, both at number ${formatCount(sequence)}`
      : `they differ in ${counted(differences.length, 'range')}`,
  };
}

function fileSystemProof({ fsck, fileSystem }: Evidence): Proof {
  const claim = 'e2fsck finds nothing on kyoto';
  const proof = { name: 'file-system', claim } as const;
  if (!fileSystem) return { ...proof, ok: null, detail: 'skipped: mke2fs is not here' };
  if (!fsck) return { ...proof, ok: null, detail: 'skipped: e2fsck is not here' };
  const found = /(\d+)\/\d+ files .*, (\d+)\/(\d+) blocks/.exec(fsck.output);
  const last = fsck.output.split('\n').at(-1) ?? '';
  const detail = found ? `${found[1]} inodes, ${found[2]} of ${found[3]} blocks in use` : last;
  return { ...proof, ok: fsck.exitCode === 0, detail };
}

/** Density is what the witness counted; the seal has to say the same. */
function numbersProof({ report, migration, sets }: Evidence): Proof {
  const [tokyo, osaka, more] = report.numbers;
  const next = migration.nextSequence;
  const ok =
    tokyo?.set === 'tokyo' &&
    tokyo.first === 1 &&
    tokyo.last === next - 1 &&
    osaka?.set === 'osaka' &&
    osaka.first === next &&
    more === undefined &&
    sets.a.seal?.nextSequence === next &&
    sets.c.cursors?.applied.sequence === osaka.last;
  const runs = report.numbers.map(
    ({ set, first, last }) => `${set} ${formatCount(first)} to ${formatCount(last)}`,
  );
  return {
    name: 'numbers',
    ok,
    claim: 'numbers go on over the switch',
    detail: runs.join(', '),
  };
}

function copyProof({ answers, copies }: Evidence): Proof {
  const [first, ...rest] = answers;
  const later = rest.reduce((sum, answer) => sum + answer.copies, 0);
  const ok = first?.copies === 1 && later === 0 && copies.tokyo === 1 && copies.osaka === 0;
  return {
    name: 'one-copy',
    ok,
    claim: 'one full copy, the first',
    detail: `begun by tokyo: ${copies.tokyo}, by osaka: ${copies.osaka}`,
  };
}

function writerProof({ sealed, sets }: Evidence): Proof {
  const ok = sealed.code === 'E_SEALED' && sets.a.set?.role === 'retired';
  return {
    name: 'one-writer',
    ok,
    claim: 'tokyo takes no more writes',
    detail: ok ? 'opened anew, it still refuses: E_SEALED' : sealed.message,
  };
}

function marksProof({ marks, sets }: Evidence): Proof {
  const arrived = sets.c.cursors?.marks ?? [];
  const ok =
    marks.length > 0 &&
    marks.every(({ name, sequence }) =>
      arrived.some((mark) => mark.name === name && mark.sequence === sequence),
    );
  const shown = marks.map(({ name, sequence }) => `${name} ${formatCount(sequence)}`);
  return { name: 'marks', ok, claim: 'marks came to kyoto', detail: shown.join(', ') };
}

function soundProof({ verified }: Evidence): Proof {
  const findings = verified.flatMap((answer) => answer.findings);
  const records = verified.reduce((sum, answer) => sum + answer.recordsChecked, 0);
  return {
    name: 'sound',
    ok: verified.every((answer) => answer.ok),
    claim: 'osaka and kyoto are sound',
    detail:
      findings[0] === undefined
        ? `${counted(records, 'record')} read: checksums, chain, images`
        : `${findings[0].file} at ${findings[0].offset}: ${findings[0].problem}`,
  };
}
