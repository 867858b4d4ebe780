/** What the demo proves, line by line, from what was measured. Pure. */
import type { ErrorCode } from '../../base/errors.ts';
import type { InspectAnswer } from '../../control/inspect.ts';
import type { CompareAnswer, MigrateAnswer, SentStatus, VerifyAnswer } from '../../node/answers.ts';
import { counted, formatCount, formatSize } from '../../base/sizes.ts';
import type { DemoMark, Proof } from './answer.ts';
import type { Left } from './move.ts';
import type { ProgramEnd } from './programs.ts';
import { VOLUMES } from './volumes.ts';
import type { WitnessComparison, WitnessReport } from './witness.ts';

/** How the sealed set answered. */
export interface Refusal {
  /** To a write over the control interface; undefined when it did not refuse. */
  readonly code: ErrorCode | undefined;
  /** Whether it let a host in that came over NBD. */
  readonly admitsHosts: boolean;
  readonly message: string;
}

export interface Evidence {
  readonly report: WitnessReport;
  readonly comparisons: readonly WitnessComparison[];
  readonly witnessExit: number;
  /** While the host wrote, and when all was closed. */
  readonly comparedLive: CompareAnswer;
  readonly compared: CompareAnswer;
  readonly verified: readonly VerifyAnswer[];
  readonly sent: { readonly tokyo: SentStatus; readonly osaka: SentStatus };
  /** The number that osaka would have given next. */
  readonly nextSequence: number;
  readonly migration: MigrateAnswer;
  readonly marks: readonly DemoMark[];
  /** Undefined when it could not be run. */
  readonly fsck: ProgramEnd | undefined;
  /** Whether the volume holds a file system at all. */
  readonly fileSystem: boolean;
  readonly left: Left;
  readonly writesWithoutA: number;
  /** The host's connections, as the controller saw them. */
  readonly connectedAtFirst: readonly string[];
  readonly connectedAtLast: readonly string[];
  readonly sets: { readonly [set in 'a' | 'b' | 'c']: InspectAnswer };
}

export function proofOf(evidence: Evidence): Proof[] {
  return [
    ...evidence.comparisons.map((comparison) => imageProof(comparison, evidence)),
    witnessProof(evidence),
    equalProof(evidence),
    liveProof(evidence),
    fileSystemProof(evidence),
    numbersProof(evidence),
    copyProof(evidence),
    connectionsProof(evidence),
    writerProof(evidence),
    withoutSourceProof(evidence),
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

function liveProof({ comparedLive }: Evidence): Proof {
  const { equal, bytesCompared } = comparedLive;
  const detail = `${formatSize(bytesCompared)} compared, each range as of one number`;
  return {
    name: 'live',
    ok: equal,
    claim: 'they did while the host wrote',
    detail: equal ? detail : differText(comparedLive),
  };
}

function equalProof({ compared }: Evidence): Proof {
  const { equal, bytesCompared, sequence } = compared;
  const size = formatSize(bytesCompared);
  return {
    name: 'equal',
    ok: equal,
    claim: 'osaka and kyoto hold the same',
    detail: equal
      ? `${size} compared, both at number ${formatCount(sequence)}`
      : differText(compared),
  };
}

function differText({ differences }: CompareAnswer): string {
  return `they differ in ${counted(differences.length, 'range')}`;
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

/**
 * The witness counted what was acknowledged, whoever did it: hosts are not told. If that is as many
 * as there are numbers, each was given once, to something that the host was told is done. At marks
 * it knows the number, so one that is too many before the switch is not made up for behind it.
 */
function numbersProof({ report, migration, marks, nextSequence, sets }: Evidence): Proof {
  const next = migration.nextSequence;
  const before = marks.filter(({ sequence }) => sequence < next);
  const ok =
    report.numbers === nextSequence - 1 &&
    before.length > 0 &&
    before.length < marks.length &&
    sets.a.seal?.nextSequence === next &&
    sets.c.cursors?.applied.sequence === nextSequence - 1;
  const last = formatCount(nextSequence - 1);
  const given = `tokyo 1 to ${formatCount(next - 1)}, osaka ${formatCount(next)} to ${last}`;
  return {
    name: 'numbers',
    ok,
    claim: 'each number is one answered write',
    detail: ok ? given : `${given}; counted: ${formatCount(report.numbers)}`,
  };
}

function copyProof({ sent: { tokyo, osaka } }: Evidence): Proof {
  return {
    name: 'one-copy',
    ok: tokyo.copies === 1 && osaka.copies === 0,
    claim: 'one full copy, the first',
    detail: `begun by tokyo: ${tokyo.copies}, by osaka: ${osaka.copies}`,
  };
}

/** A connection has a port of its own: a second one in its place would have another. */
function connectionsProof({ connectedAtFirst, connectedAtLast }: Evidence): Proof {
  const first = connectedAtFirst.join(', ');
  const last = connectedAtLast.join(', ');
  const ok = first === last && connectedAtLast.length === VOLUMES.length;
  return {
    name: 'connections',
    ok,
    claim: 'the host kept its connections',
    detail: ok ? last : `at first ${first || 'none'}, at last ${last || 'none'}`,
  };
}

function writerProof({ left, sets }: Evidence): Proof {
  const { code, admitsHosts, message } = left.refusal;
  const refused = code === 'E_SEALED' && !admitsHosts;
  const { role } = sets.a.set ?? {};
  const without = refused ? `it is ${role}` : admitsHosts ? 'it lets hosts in' : message;
  const ok = refused && role === 'retired';
  return {
    name: 'one-writer',
    ok,
    claim: 'tokyo took no more writes',
    detail: ok ? 'asked past the controller, it let no host in: E_SEALED' : without,
  };
}

function withoutSourceProof({ left, writesWithoutA }: Evidence): Proof {
  const { wasNeeded, deleted } = left;
  const writes = counted(writesWithoutA, 'write');
  const done = `${writes} since it was switched off${deleted ? ' and deleted' : ''}`;
  return {
    name: 'without-source',
    ok: !wasNeeded && writesWithoutA > 0,
    claim: 'the host went on without tokyo',
    detail: wasNeeded ? 'osaka still needed it' : done,
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
