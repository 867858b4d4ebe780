/**
 * A life of a journal, crashed at every operation that changes the disk, and again at every
 * operation of the recovery. Whatever survives: what was reported durable is there, the run is a
 * chained prefix of what was written and ends with a request, and the journal can be used.
 */
import { afterAll, describe, expect, test } from '@jest/globals';
import { KIB } from '../../src/base/limits.ts';
import type { ProvenPosition } from '../../src/base/position.ts';
import type { Journal } from '../../src/journal/journal.ts';
import type { Run } from '../../src/journal/run.ts';
import type { KnownRun } from '../../src/journal/types.ts';
import { SimulatedDisk } from '../sim/disk.ts';
import type { Survival } from '../sim/disk.ts';
import { seededRandom } from '../sim/random.ts';
import {
  SMALL,
  fileNames,
  filled,
  knownOf,
  openJournal,
  openRecord,
  recordsOf,
  reopenJournal,
  sealRecord,
  write,
} from '../support/journal-bench.ts';
import { CRASH_EVERY, STRUCK_OPERATIONS } from '../support/crash-sweep.ts';

const SIZES = { ...SMALL, segmentBytes: 8 * KIB, segmentsMax: 32 };

/** What a journal was told and what it promised, kept outside of the crashing machine. */
class Witness {
  /** Payloads by number, as text, for each epoch. */
  readonly written = new Map<number, Map<number, string>>();
  /** Numbers that end a request, for each epoch. */
  readonly ends = new Map<number, Set<number>>();
  /** The highest number reported durable, for each epoch. */
  readonly durable = new Map<number, number>();
  /** What was saved of it, as the cursors do. */
  known: readonly KnownRun[] = [];
  applied: ProvenPosition = { epoch: 0, sequence: 0, chain: 0 };

  note(run: Run, sequence: number, payloads: readonly string[]): void {
    const written = this.written.get(run.epoch) ?? new Map<number, string>();
    const ends = this.ends.get(run.epoch) ?? new Set([run.identity.first - 1]);
    for (const [index, payload] of payloads.entries()) {
      written.set(sequence - payloads.length + 1 + index, payload);
    }
    ends.add(sequence);
    this.written.set(run.epoch, written);
    this.ends.set(run.epoch, ends);
  }

  watch(journal: Journal): void {
    journal.onDurable(() => {
      for (const run of journal.runs) this.durable.set(run.epoch, run.durable);
    });
  }

  /** Cursors: what is durable now is known from now on. */
  save(journal: Journal): void {
    this.known = journal.runs.filter((run) => run.headDurable).map((run) => knownOf(run));
  }

  /** The images hold everything up to here, and the cursors say so. */
  apply(run: Run, sequence: number): void {
    const record = recordsOf(run).findLast(({ header }) => header.sequence === sequence);
    const chain = record?.header.ownChain ?? 0;
    this.applied = { epoch: run.epoch, sequence, chain };
  }
}

/** One request of one or several records. */
function request(witness: Witness, journal: Journal, run: Run, name: string, ...sizes: number[]) {
  const payloads = sizes.map((bytes, part) => filled(`${name}${part}`, bytes).toString());
  // Told before: a crash in the midst may leave it or not.
  witness.note(run, run.next + sizes.length - 1, payloads);
  write(journal, run, ...payloads);
}

/** A life with rolls, trims, saved cursors, a seal and a second epoch, driven by the seed. */
async function live(disk: SimulatedDisk, witness: Witness, seed: number): Promise<void> {
  const random = seededRandom(seed);
  const journal = await openJournal(disk, { sizes: SIZES });
  witness.watch(journal);
  const run = journal.startRun(openRecord());
  witness.note(run, 0, []);
  await journal.sync();
  witness.save(journal);
  await writeSome(journal, run, witness, random, 14);
  await journal.sync();
  journal.appendReceived(run, [sealRecord(run)]);
  await journal.sync();
  witness.save(journal);
  const { seal } = run;
  if (!seal) throw new Error('the run is sealed');
  const head = openRecord({
    epoch: 2,
    next: run.next,
    chain: run.chain,
    parent: { kind: 'seal', seal: seal.bytes },
  });
  const second = journal.startRun(head);
  witness.note(second, run.next - 1, []);
  await journal.sync();
  await writeSome(journal, second, witness, random, 8);
  await journal.close();
}

async function writeSome(
  journal: Journal,
  run: Run,
  witness: Witness,
  random: { below(bound: number): number },
  requests: number,
): Promise<void> {
  for (let index = 0; index < requests; index += 1) {
    const name = `e${run.epoch}n${run.next}p`;
    const sizes = Array.from({ length: random.below(3) + 1 }, () => 40 + random.below(4000));
    request(witness, journal, run, name, ...sizes);
    if (random.below(3) === 0) await journal.sync();
    if (random.below(4) === 0) witness.save(journal);
    if (random.below(3) === 0 && run.durable >= run.firstKept) {
      witness.save(journal);
      witness.apply(run, run.durable);
      journal.trim(run.epoch, run.durable + 1);
    }
  }
}

function reopen(disk: SimulatedDisk, { known, applied }: Witness): Promise<Journal> {
  return reopenJournal(disk, { known, applied, sizes: SIZES });
}

/** Everything that must hold of a journal that was opened after a crash. */
function check(journal: Journal, witness: Witness): void {
  for (const [epoch, durable] of witness.durable) {
    if (epoch < witness.applied.epoch) continue; // complete and applied: it may be trimmed
    const run = journal.run(epoch);
    if (!run) throw new Error(`epoch ${epoch} is gone, though ${durable} was durable`);
    checkRun(run, witness, durable);
  }
}

function checkRun(run: Run, witness: Witness, durable: number): void {
  const written = witness.written.get(run.epoch);
  const ends = witness.ends.get(run.epoch);
  const records = recordsOf(run);
  const seal = records.find(({ header }) => header.kind === 'seal');
  const numbered = records.filter(({ header }) => header.kind === 'write');
  const last = numbered.at(-1)?.header.sequence ?? run.next - 1;
  const problems: string[] = [];
  if (run.next - 1 + (seal ? 1 : 0) < durable) problems.push(`${durable} was durable`);
  if (run.durable !== run.next - 1 + (seal ? 1 : 0))
    problems.push(`only ${run.durable} is durable`);
  if (!ends?.has(last)) problems.push(`${last} ends no request`);
  if (run.firstKept > Math.max(run.identity.first, witness.applied.sequence + 1)) {
    problems.push(`it begins with ${run.firstKept}, ${witness.applied.sequence} is applied`);
  }
  for (const [index, { header, payload }] of numbered.entries()) {
    if (header.sequence !== run.firstKept + index) problems.push(`no ${run.firstKept + index}`);
    if (written?.get(header.sequence) !== payload.toString()) {
      problems.push(`${header.sequence} is not what was written`);
    }
  }
  if (run.firstKept === run.identity.first && records[0]?.header.kind !== 'open') {
    problems.push('its head is gone');
  }
  if (problems.length > 0) throw new Error(`epoch ${run.epoch}: ${problems.join('; ')}`);
}

/** The journal goes on: what is written and synced now survives a power loss. */
async function checkUsable(disk: SimulatedDisk, journal: Journal, witness: Witness): Promise<void> {
  const run = journal.last;
  if (!run || run.seal) return;
  const first = run.next;
  for (const name of ['again', 'and again']) write(journal, run, filled(name, 40));
  await journal.sync();
  write(journal, run, 'not synced');
  const known = journal.runs.map((each) => knownOf(each));
  const { applied } = witness;
  const after = await reopenJournal(disk.survivors('lose', 0), { known, applied, sizes: SIZES });
  const names = recordsOf(after.last ?? run, first)
    .filter(({ header }) => header.kind === 'write')
    .map(({ payload }) => payload.toString().split('.')[0]);
  if (names.join() !== 'again,and again') throw new Error(`found ${names.join()} of what came`);
}

/** Opening again changes nothing that can be seen; returns what was opened. */
async function reopenEqual(disk: SimulatedDisk, journal: Journal, witness: Witness) {
  const seen = (opened: Journal) =>
    opened.runs.map((run) => [run.epoch, recordsOf(run).map(({ header }) => header.ownChain)]);
  const once = seen(journal);
  const again = await reopen(disk, witness);
  expect(seen(again)).toEqual(once);
  expect(fileNames(disk)).not.toContain('.tail');
  return again;
}

type Fate = readonly [Survival, number];
const LOSE: Fate = ['lose', 0];
const KEEP: Fate = ['keep', 0];
const FATES: readonly Fate[] = [LOSE, KEEP, ['random', 1], ['random', 2], ['random', 3]];

interface Crash {
  readonly disk: SimulatedDisk;
  readonly witness: Witness;
}

/** The life up to a crash at operation `index`; undefined when it ends before. */
async function crashAt(seed: number, index: number): Promise<Crash | undefined> {
  const disk = new SimulatedDisk({ seed: seed * 1000 + index });
  const witness = new Witness();
  disk.crashAt(index);
  try {
    await live(disk, witness, seed);
    return undefined;
  } catch (error) {
    if (!disk.crashed) throw error;
    return { disk, witness };
  }
}

/** Runs `action`; an error says where it happened. */
async function at(place: string, action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    throw new Error(`${place}: ${(error as Error).message}`, { cause: error });
  }
}

let points = 0;
let recoveryPoints = 0;

afterAll(() => {
  process.stdout.write(
    `journal: ${points} crash points in lives, ${recoveryPoints} in recoveries\n`,
  );
});

/** The folder itself is made by whoever creates the set: crashes begin behind that. */
const FIRST_OPERATION = 3;

/** Each of these crashes is followed by a crash at every operation of its recovery. */
const RECOVERED_EVERY = CRASH_EVERY === 1 ? 1 : Math.min(24, 4 * CRASH_EVERY);

describe.each([1, 2])(`[R2] a life crashed at ${STRUCK_OPERATIONS}, seed %i`, (seed) => {
  test('what was durable is there, and the journal goes on', async () => {
    for (let index = FIRST_OPERATION; ; index += CRASH_EVERY) {
      const crash = await crashAt(seed, index);
      if (!crash) break;
      for (const [mode, modeSeed] of FATES) {
        points += 1;
        await at(`operation ${index}, ${mode} ${modeSeed}`, async () => {
          const disk = crash.disk.survivors(mode, modeSeed);
          const journal = await reopen(disk, crash.witness);
          check(journal, crash.witness);
          await checkUsable(disk, await reopenEqual(disk, journal, crash.witness), crash.witness);
        });
      }
    }
    expect(points).toBeGreaterThan(100 / CRASH_EVERY);
  });
});

describe.each([4])('[R2] recovery crashed at every operation, seed %i', (seed) => {
  test('what was durable is still there, also when that happens twice', async () => {
    for (let index = FIRST_OPERATION; ; index += RECOVERED_EVERY) {
      const crash = await crashAt(seed, index);
      if (!crash) break;
      for (const [mode, modeSeed] of [KEEP, ['random', 1]] satisfies Fate[]) {
        await at(`operation ${index}, ${mode} ${modeSeed}`, async () => {
          await sweepRecovery(crash, () => crash.disk.survivors(mode, modeSeed));
        });
      }
    }
    expect(recoveryPoints).toBeGreaterThan(100 / CRASH_EVERY);
  });
});

/** Crashes the recovery of what `survivor` gives at each of its operations, and the next one. */
async function sweepRecovery(crash: Crash, survivor: () => SimulatedDisk): Promise<void> {
  for (let index = 0; ; index += 1) {
    const disk = survivor();
    if (!(await crashRecovery(disk, crash, index))) return;
    for (const [mode, modeSeed] of [LOSE, KEEP, ['random', 2]] satisfies Fate[]) {
      recoveryPoints += 1;
      const second = disk.survivors(mode, modeSeed);
      await crashRecovery(second, crash, (index * 7) % 11);
      const last = second.survivors(mode, modeSeed);
      await at(`recovery ${index}, ${mode} ${modeSeed}`, async () => {
        const journal = await reopen(last, crash.witness);
        check(journal, crash.witness);
        await checkUsable(last, journal, crash.witness);
      });
    }
  }
}

/** Whether the recovery was still going on at operation `index`. */
async function crashRecovery(disk: SimulatedDisk, crash: Crash, index: number): Promise<boolean> {
  disk.crashAt(index);
  try {
    await reopen(disk, crash.witness);
  } catch (error) {
    if (!disk.crashed) throw error;
  }
  return disk.crashed;
}
