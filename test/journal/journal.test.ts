/** The journal in ordinary life: appending, reopening, rolling, trimming, room, readers, runs. */
import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { KIB, SEAL_RESERVE_BYTES, journalSizesFor, MIB } from '../../src/base/limits.ts';
import type { Journal } from '../../src/journal/journal.ts';
import type { Run } from '../../src/journal/run.ts';
import type { RoomFor } from '../../src/journal/types.ts';
import { SimulatedDisk } from '../sim/disk.ts';
import {
  OTHER,
  SMALL,
  fileNames,
  filled,
  knownOf,
  openJournal,
  openRecord,
  recordsOf,
  rebaseRecord,
  reopenJournal,
  sealRecord,
  segmentPath,
  textOf,
  wholeRecord,
  write,
} from '../support/journal-bench.ts';

async function begun(disk: SimulatedDisk, sizes = SMALL) {
  const journal = await openJournal(disk, { sizes });
  const run = journal.startRun(openRecord());
  await journal.sync();
  return { journal, run };
}

/** Writes requests of one record of `bytes` payload bytes until `until` holds. */
function writeUntil(journal: Journal, run: Run, bytes: number, until: () => boolean): void {
  while (!until()) write(journal, run, filled(`n${run.next}`, bytes));
}

function numbersFrom(run: Run, from: number): number[] {
  return recordsOf(run, from)
    .filter(({ header }) => header.kind === 'write')
    .map(({ header }) => header.sequence);
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

describe('appending and reopening', () => {
  test.each([true, false])('[R2] what was synced is there, closed in order: %s', async (clean) => {
    const disk = new SimulatedDisk();
    const { journal, run } = await begun(disk);
    write(journal, run, 'one');
    write(journal, run, 'two', 'three');
    await journal.sync();
    if (clean) await journal.close();
    const survivor = disk.survivors('lose', 0);
    const again = await reopenJournal(survivor, { known: [knownOf(run)], clean });
    const [found] = again.runs;
    expect(found && textOf(found)).toBe('open 1=one 2=two 3=three');
    expect(found).toMatchObject({ next: 4, chain: run.chain, durable: 3, firstKept: 1 });
    expect(found?.head?.bytes).toEqual(run.head?.bytes);
  });

  test('a start after an orderly end changes nothing on disk', async () => {
    const disk = new SimulatedDisk();
    const { journal, run } = await begun(disk);
    writeUntil(journal, run, 3000, () => run.segments.length === 3);
    await journal.close();
    const { operations } = disk;
    const again = await reopenJournal(disk, { known: [knownOf(run)], clean: true });
    expect(disk.operations).toBe(operations);
    expect(again.runs[0]?.next).toBe(run.next);
  });

  test('the beginning of a request whose end never came leaves no segment behind', async () => {
    const disk = new SimulatedDisk();
    const { journal, run } = await begun(disk);
    write(journal, run, 'one');
    const half = {
      kind: 'write',
      volume: 0,
      offset: 0,
      endOfRequest: false,
      mayFree: false,
    } as const;
    while (run.segments.length < 3) {
      const payload = Buffer.alloc(SMALL.recordPayloadBytesMax);
      const { length } = payload;
      journal.append(run, { ...half, length, payload: [payload], payloadLength: length });
      journal.write(run, length);
    }
    await journal.close();
    const again = await reopenJournal(disk, {
      known: [{ ...knownOf(run), durable: 1 }],
      clean: true,
    });
    expect(again.runs[0]).toMatchObject({ next: 2, segments: [{ firstSequence: 1 }] });
    expect(fileNames(disk).split(' ')).toHaveLength(1);
  });

  test('looking only changes nothing on disk, whatever is there', async () => {
    const disk = new SimulatedDisk();
    const { journal, run } = await begun(disk);
    writeUntil(journal, run, 3000, () => run.segments.length === 3);
    disk.writeFile(`${segmentPath(1, 99)}.tail`, Buffer.from('left behind'));
    disk.truncate(segmentPath(1, run.segments[2]!.firstSequence), 500);
    const survivor = disk.survivors('keep', 0);
    const looked = await reopenJournal(survivor, { readOnly: true });
    expect(looked.runs[0] && numbersFrom(looked.runs[0], 1)).toEqual(range(1, run.durable));
    expect(looked.cuts).toHaveLength(1);
    await looked.close();
    expect(survivor.operations).toBe(0);
  });

  test('what an interrupted rewriting left behind goes', async () => {
    const disk = new SimulatedDisk();
    const { run } = await begun(disk);
    disk.writeFile(`${segmentPath(1, 99)}.tail`, Buffer.from('left behind'));
    await reopenJournal(disk, { known: [knownOf(run)] });
    expect(fileNames(disk)).toBe('00000001-0000000000000001');
  });

  test('a record carries what its writer gave, and the durable number known then', async () => {
    const disk = new SimulatedDisk();
    const { journal, run } = await begun(disk);
    write(journal, run, 'one');
    await journal.sync();
    journal.append(run, {
      kind: 'zeroes',
      volume: 3,
      offset: 8192,
      length: 4096,
      payload: [],
      payloadLength: 0,
      endOfRequest: true,
      mayFree: true,
    });
    journal.write(run, 0);
    await journal.sync();
    expect(recordsOf(run).at(-1)?.header).toMatchObject({
      kind: 'zeroes',
      volume: 3,
      offset: 8192,
      length: 4096,
      endOfRequest: true,
      mayFree: true,
      sequence: 2,
      durableSequence: 1,
      epoch: 1,
    });
  });
});

describe('segments', () => {
  test.each([8, 16, 64])('of %i KiB roll, and every number can be read from', async (kib) => {
    const disk = new SimulatedDisk();
    const sizes = { ...SMALL, segmentBytes: kib * KIB, segmentsMax: 100 };
    const { journal, run } = await begun(disk, sizes);
    writeUntil(journal, run, 1700, () => run.segments.length === 5);
    await journal.sync();
    for (const { firstSequence } of run.segments) {
      expect(disk.readFile(segmentPath(1, firstSequence)).length).toBeLessThanOrEqual(kib * KIB);
    }
    const last = run.next - 1;
    for (const from of range(1, run.next))
      expect(numbersFrom(run, from)).toEqual(range(from, last));
    const survivor = disk.survivors('lose', 0);
    const again = await reopenJournal(survivor, { sizes, known: [knownOf(run, 3)] });
    expect(again.runs[0] && numbersFrom(again.runs[0], 1)).toEqual(range(1, last));
  });

  test('a reader stops at its limit, and goes on behind it', async () => {
    const disk = new SimulatedDisk();
    const { journal, run } = await begun(disk);
    writeUntil(journal, run, 3000, () => run.segments.length === 3);
    const reader = run.readFrom(2);
    for (const limit of range(2, run.next - 1)) {
      expect(reader.next(limit - 1)).toBeUndefined();
      expect(reader.next(limit)?.header.sequence).toBe(limit);
    }
    reader.close();
  });

  test('a reader that cannot open a segment names it', async () => {
    const disk = new SimulatedDisk();
    const { run } = await begun(disk);
    const path = segmentPath(1, 1);
    disk.remove(path, 'TEST:JOURNAL');
    expect(() => run.readFrom(1).next(0)).toThrow(path);
  });

  test('a reader at a run’s start gives its head first, once', async () => {
    const disk = new SimulatedDisk();
    const { journal, run } = await begun(disk);
    const reader = run.readFrom(1);
    expect(reader.next(0)?.header.kind).toBe('open');
    expect(reader.next(0)).toBeUndefined();
    write(journal, run, 'one');
    expect(reader.next(1)?.header.sequence).toBe(1);
    expect(numbersFrom(run, 1)).toEqual([]);
  });

  test('a number that was never given cannot be read from', async () => {
    const { run } = await begun(new SimulatedDisk());
    expect(() => run.readFrom(2)).toThrow(expect.objectContaining({ code: 'E_INTERNAL' }));
  });

  test('trimmed ones become spares, and new segments are made of those', async () => {
    const disk = new SimulatedDisk();
    const { journal, run } = await begun(disk);
    writeUntil(journal, run, 4000, () => run.segments.length === 6);
    await journal.sync();
    journal.trim(1, run.next);
    expect([run.segments.length, run.firstKept]).toEqual([1, 16]);
    expect(journal.bytes).toBe(SMALL.segmentBytes);
    const spares = 'spare-1 spare-2 spare-3 spare-4 spare-5';
    expect(fileNames(disk)).toBe(`00000001-0000000000000016 ${spares}`);
    await journal.sync();
    const inodes = spares.split(' ').map((name) => inodeOf(disk, `/set/journal/${name}.rcj`));
    writeUntil(journal, run, 4000, () => run.segments.length === 7);
    await journal.sync();
    expect(fileNames(disk)).not.toContain('spare');
    const used = run.segments.map((segment) =>
      inodeOf(disk, segmentPath(1, segment.firstSequence)),
    );
    expect(used).toEqual(expect.arrayContaining(inodes));
    expect(numbersFrom(run, 16)).toEqual(range(16, run.next - 1));
  });

  test('[R9] there are never more than two files above what a full journal has', async () => {
    const disk = new SimulatedDisk();
    const { journal, run } = await begun(disk);
    let most = 0;
    for (let round = 0; round < 12; round += 1) {
      // Without a sync none of what was trimmed can be used: new files come beside the spares.
      writeUntil(journal, run, 4000, () => run.segments.length >= 8);
      await journal.sync();
      writeUntil(journal, run, 4000, () => run.segments.length >= 9);
      journal.trim(1, run.next);
      if (round % 2 === 0) await journal.sync();
      writeUntil(journal, run, 4000, () => run.segments.length >= SMALL.segmentsMax - 1);
      most = Math.max(most, fileNames(disk).split(' ').length);
      await journal.sync();
      journal.trim(1, run.next);
      most = Math.max(most, fileNames(disk).split(' ').length);
    }
    expect(most).toBe(SMALL.segmentsMax + 2);
  });

  test('[R8] a spare is not overwritten before its new name is durable', async () => {
    const disk = new SimulatedDisk();
    const { journal, run } = await begun(disk);
    writeUntil(journal, run, 4000, () => run.segments.length === 3);
    await journal.sync();
    journal.trim(1, run.segments[1]!.firstSequence);
    expect(fileNames(disk)).toContain('spare-1');
    const known = [knownOf(run)];
    writeUntil(journal, run, 4000, () => run.segments.length === 4);
    // The power loss takes the renaming back: the trimmed segment is what it was.
    const again = await reopenJournal(disk.survivors('lose', 0), { known });
    expect(again.runs[0] && numbersFrom(again.runs[0], 1)).toEqual(range(1, known[0]!.durable));
  });

  test('[R7] trimming never goes past a record that is asked to stay', async () => {
    const disk = new SimulatedDisk();
    const { journal, run } = await begun(disk);
    writeUntil(journal, run, 3000, () => run.segments.length === 5);
    await journal.sync();
    for (const sequence of range(1, run.next)) {
      journal.trim(1, sequence);
      expect(run.firstKept).toBeLessThanOrEqual(sequence);
      expect(numbersFrom(run, Math.min(sequence, run.next))).toEqual(range(sequence, run.next - 1));
    }
  });

  test('spares of an earlier process are used again', async () => {
    const disk = new SimulatedDisk();
    const { journal, run } = await begun(disk);
    writeUntil(journal, run, 4000, () => run.segments.length === 6);
    await journal.sync();
    journal.trim(1, run.next);
    await journal.close();
    const applied = { epoch: 1, sequence: run.next - 1, chain: run.chain };
    const again = await reopenJournal(disk, { known: [knownOf(run)], applied, clean: true });
    const [found] = again.runs;
    if (!found) throw new Error('the run is there');
    write(again, found, 'one');
    await again.sync();
    writeUntil(again, found, 4000, () => found.segments.length === 6);
    expect(fileNames(disk)).not.toContain('spare');
  });
});

function inodeOf(disk: SimulatedDisk, path: string): string | undefined {
  return disk.status(path, 'TEST:JOURNAL')?.inode;
}

describe('[R9] room', () => {
  const REQUEST = Array.from({ length: 8 }, () => 4 * KIB);

  /** Fills the journal as `purpose` may, and says how many requests that took. */
  function fill(journal: Journal, run: Run, payloads: number[], purpose: RoomFor): number {
    for (let requests = 0; ; requests += 1) {
      if (!journal.admits(run, payloads, purpose)) return requests;
      write(journal, run, ...payloads.map((bytes) => Buffer.alloc(bytes)));
      expect(journal.bytes).toBeLessThanOrEqual(journal.capacityBytes);
    }
  }

  test('hosts never take the room of the seal', async () => {
    for (const bytes of [1, 100, 900, 2048, 3000, 4096]) {
      const disk = new SimulatedDisk();
      const { journal, run } = await begun(disk);
      expect(fill(journal, run, [bytes], 'host')).toBeGreaterThan(20);
      const seal = sealRecord(run);
      expect(seal.bytes.length).toBeLessThan(SEAL_RESERVE_BYTES);
      expect(journal.admits(run, [seal.header.payloadLength], 'seal')).toBe(true);
      journal.appendReceived(run, [seal]);
      expect(journal.bytes).toBeLessThanOrEqual(journal.capacityBytes);
      await journal.sync();
      expect(run.durable).toBe(run.next);
    }
  });

  test('nor is it gone after a start that had to rewrite the tail', async () => {
    for (const bytes of [1152, 3000]) {
      const disk = new SimulatedDisk();
      const { journal, run } = await begun(disk);
      fill(journal, run, [bytes], 'host');
      for (let durable = 0; durable < run.next; durable += 1) {
        const survivor = disk.survivors('keep', 0);
        const again = await reopenJournal(survivor, { known: [knownOf(run, durable)] });
        const found = again.runs[0]!;
        expect(found.next).toBe(run.next);
        const sealBytes = sealRecord(found).header.payloadLength;
        expect([bytes, durable, again.admits(found, [sealBytes], 'seal')]).toEqual([
          bytes,
          durable,
          true,
        ]);
      }
    }
  });

  test('hosts add nothing to what starts take beyond the capacity', async () => {
    let disk = new SimulatedDisk();
    let { journal, run } = await begun(disk);
    for (let starts = 0; starts < 8; starts += 1) {
      while (journal.admits(run, [3000], 'host')) write(journal, run, filled('more', 3000));
      disk = disk.survivors('keep', starts);
      journal = await reopenJournal(disk, { known: [knownOf(run, run.next - 2)] });
      [run] = [journal.runs[0]!];
      expect(journal.bytes).toBeLessThanOrEqual(journal.capacityBytes + SMALL.segmentBytes);
      if (journal.admits(run, [400], 'host')) write(journal, run, filled('a little', 400));
    }
  });

  test('trimming makes room again', async () => {
    const disk = new SimulatedDisk();
    const { journal, run } = await begun(disk);
    const first = fill(journal, run, REQUEST, 'host');
    expect(first).toBeGreaterThan(2);
    await journal.sync();
    journal.trim(1, run.next);
    await journal.sync();
    expect(fill(journal, run, REQUEST, 'host')).toBeGreaterThanOrEqual(first - 1);
  });

  test('the smallest journal takes a request of 32 MiB, wherever it stands', async () => {
    const sizes = journalSizesFor(128 * MIB);
    const records = Array.from({ length: 32 }, () => MIB);
    const disk = new SimulatedDisk();
    const { journal, run } = await begun(disk, sizes);
    expect(sizes.segmentsMax).toBe(4);
    const whole = Buffer.alloc(MIB);
    for (let written = 0; written < 32; written += 1) {
      expect([written, journal.admits(run, records, 'host')]).toEqual([written, true]);
      journal.append(run, {
        kind: 'write',
        volume: 0,
        offset: 0,
        length: MIB,
        payload: [whole],
        payloadLength: MIB,
        endOfRequest: true,
        mayFree: false,
      });
      journal.write(run, MIB);
      await journal.sync();
      journal.trim(1, run.next);
    }
  });

  /** A secondary with room for two epochs: the first one's end is missing. */
  async function twoEpochs() {
    const disk = new SimulatedDisk();
    const journal = await openJournal(disk);
    const first = journal.startRun(openRecord({ writer: OTHER }));
    const second = journal.startRun(openRecord({ epoch: 2, next: 1000, writer: OTHER }));
    await journal.sync();
    return { journal, first, second };
  }

  test('a later epoch never takes what the first missing number needs', async () => {
    const { journal, first, second } = await twoEpochs();
    expect(fill(journal, second, REQUEST, 'later')).toBeGreaterThan(0);
    expect(journal.admits(first, REQUEST, 'first-owed')).toBe(true);
    write(journal, first, ...REQUEST.map((bytes) => Buffer.alloc(bytes)));
    expect(journal.bytes).toBeLessThanOrEqual(journal.capacityBytes);
  });

  test('and gets nothing beyond the capacity, though the first one holds much', async () => {
    const { journal, first, second } = await twoEpochs();
    fill(journal, first, [4096], 'first-owed');
    expect(journal.bytes).toBe(journal.capacityBytes);
    expect(fill(journal, second, [4096], 'later')).toBeLessThanOrEqual(3);
    expect(journal.bytes).toBe(journal.capacityBytes);
  });

  test('epochs after the second share what is left for later ones', async () => {
    const { journal, first, second } = await twoEpochs();
    const third = journal.startRun(openRecord({ epoch: 3, next: 2000, writer: OTHER }));
    fill(journal, second, REQUEST, 'later');
    fill(journal, third, REQUEST, 'later');
    expect(journal.admits(first, REQUEST, 'first-owed')).toBe(true);
  });

  test('a run that is given up gives its room back', async () => {
    const { journal, first, second } = await twoEpochs();
    fill(journal, second, REQUEST, 'later');
    journal.discard(second);
    await journal.sync();
    expect([journal.bytes, journal.runs]).toEqual([SMALL.segmentBytes, [first]]);
  });
});

describe('records of another set', () => {
  /** A sender's journal with some requests, its seal, and the records as they stand there. */
  async function sender() {
    const { journal, run } = await begun(new SimulatedDisk());
    for (const size of [10, 4096, 3000, 1, 33, 4000]) write(journal, run, filled('data', size));
    write(journal, run, 'two', 'parts');
    await journal.sync();
    journal.appendReceived(run, [sealRecord(run)]);
    await journal.sync();
    return recordsOf(run);
  }

  test('are kept byte by byte, whatever the sizes of segments here', async () => {
    const records = await sender();
    for (const segmentBytes of [8 * KIB, 16 * KIB, 64 * KIB]) {
      const sizes = { ...SMALL, segmentBytes };
      const disk = new SimulatedDisk();
      const journal = await openJournal(disk, { sizes, ownSet: OTHER });
      const run = journal.startRun(records[0]!);
      journal.appendReceived(run, records.slice(1, 4));
      for (const record of records.slice(4)) journal.queueReceived(run, record);
      journal.write(run, 0);
      await journal.sync();
      expect(run.durable).toBe(9);
      const survivor = disk.survivors('lose', 0);
      const again = await reopenJournal(survivor, { sizes, ownSet: OTHER, known: [knownOf(run)] });
      const [found] = again.runs;
      const bytes = found ? recordsOf(found).map((record) => record.bytes) : [];
      expect(Buffer.concat(bytes).equals(Buffer.concat(records.map((each) => each.bytes)))).toBe(
        true,
      );
      expect(found?.seal?.bytes.equals(records.at(-1)!.bytes)).toBe(true);
    }
  });

  test('[R1] make a number durable only at the end of a request', async () => {
    const journal = await openJournal(new SimulatedDisk(), { ownSet: OTHER });
    const records = await sender();
    const run = journal.startRun(records[0]!);
    const parts = records.findIndex(({ header }) => !header.endOfRequest);
    journal.appendReceived(run, records.slice(1, parts + 1));
    await journal.sync();
    expect([run.next - 1, run.durable]).toEqual([7, 6]);
    journal.appendReceived(run, [records[parts + 1]!]);
    await journal.sync();
    expect(run.durable).toBe(8);
  });

  test('go on behind a rebase record from where that says', async () => {
    const disk = new SimulatedDisk();
    const journal = await openJournal(disk);
    const run = journal.startRun(rebaseRecord({ epoch: 4, sequence: 77, chain: 0xabc }));
    expect([run.next, run.chain, run.identity.first]).toEqual([78, 0xabc, 1]);
    const place = { epoch: 4, sequence: 78, chain: 0xabc };
    journal.appendReceived(run, [wholeRecord('write', place, Buffer.from('next'))]);
    await journal.sync();
    for (const known of [[], [knownOf(run)]]) {
      const again = await reopenJournal(disk.survivors('lose', 0), { known });
      const [found] = again.runs;
      expect(found && textOf(found)).toBe('rebase 78=next');
      expect([found?.next, found?.chain]).toEqual([79, run.chain]);
    }
  });
});

describe('several runs', () => {
  async function sealedAndNext(disk: SimulatedDisk) {
    const { journal, run } = await begun(disk);
    write(journal, run, 'one');
    journal.appendReceived(run, [sealRecord(run)]);
    const head = openRecord({ epoch: 2, next: 2, chain: run.chain });
    const second = journal.startRun(head);
    write(journal, second, 'two');
    await journal.sync();
    return { journal, run, second };
  }

  test('come back in order, with seal and head', async () => {
    const disk = new SimulatedDisk();
    const { run, second } = await sealedAndNext(disk);
    expect([run.durable, second.durable]).toEqual([2, 2]);
    const known = [knownOf(run), knownOf(second)];
    const again = await reopenJournal(disk.survivors('lose', 0), { known });
    expect(again.runs.map((each) => textOf(each))).toEqual(['open 1=one seal', 'open 2=two']);
    expect(again.last?.head?.header.chain).toBe(again.run(1)?.seal?.header.ownChain);
    expect(() => write(again, again.runs[0]!, 'more')).toThrow(/nothing is appended behind a seal/);
  });

  test('[R7] trimming an epoch gives up the ones before it whole', async () => {
    const disk = new SimulatedDisk();
    const { journal, second } = await sealedAndNext(disk);
    journal.trim(2, 2);
    expect(journal.runs).toEqual([second]);
    await journal.sync();
    const applied = { epoch: 2, sequence: 1, chain: 0 };
    const known = [knownOf(second)];
    const again = await reopenJournal(disk.survivors('lose', 0), { known, applied });
    expect(again.runs.map((each) => textOf(each))).toEqual(['open 2=two']);
  });

  test('have gaps between them, and durable numbers of their own', async () => {
    const disk = new SimulatedDisk();
    const journal = await openJournal(disk);
    const second = journal.startRun(openRecord({ epoch: 2, next: 50, writer: OTHER }));
    const first = journal.startRun(openRecord({ writer: OTHER }));
    expect(journal.runs).toEqual([first, second]);
    const at = (run: Run) => ({ epoch: run.epoch, sequence: run.next, chain: run.chain });
    journal.appendReceived(second, [wholeRecord('write', at(second), Buffer.from('late'))]);
    await journal.sync();
    journal.appendReceived(first, [wholeRecord('write', at(first), Buffer.from('early'))]);
    const known = [knownOf(first), knownOf(second)];
    expect(known.map(({ durable }) => durable)).toEqual([0, 50]);
    const again = await reopenJournal(disk.survivors('lose', 0), { known });
    expect(again.runs.map((run) => textOf(run))).toEqual(['open', 'open 50=late']);
  });
});

test('a random life reads back as it was written, from seed 1', async () => {
  const steps = fc.array(
    fc.oneof(
      { weight: 6, arbitrary: fc.array(fc.nat({ max: 4095 }), { minLength: 1, maxLength: 4 }) },
      { weight: 2, arbitrary: fc.constant('sync' as const) },
      { weight: 1, arbitrary: fc.constant('trim' as const) },
      { weight: 1, arbitrary: fc.constant('reopen' as const) },
    ),
    { maxLength: 40 },
  );
  await fc.assert(
    fc.asyncProperty(steps, async (life) => {
      const disk = new SimulatedDisk();
      const sizes = { ...SMALL, segmentBytes: 8 * KIB, segmentsMax: 1000 };
      let { journal, run } = await begun(disk, sizes);
      const written: Buffer[] = [];
      let appliedSequence = 0;
      for (const step of life) {
        if (step === 'sync') await journal.sync();
        else if (step === 'trim') {
          appliedSequence = run.durable;
          journal.trim(1, run.durable + 1);
        } else if (step === 'reopen') {
          await journal.close();
          const applied = { epoch: 1, sequence: appliedSequence, chain: 0 };
          journal = await reopenJournal(disk, { sizes, known: [knownOf(run)], applied });
          run = journal.runs[0]!;
        } else {
          const payloads = step.map((bytes) => filled('', bytes + 1));
          written.push(...payloads);
          write(journal, run, ...payloads);
        }
      }
      await journal.sync();
      const from = run.firstKept;
      const read = recordsOf(run, from).filter(({ header }) => header.kind === 'write');
      expect(read.map(({ payload }) => payload.length)).toEqual(
        written.slice(from - 1).map((payload) => payload.length),
      );
      expect(run.next).toBe(written.length + 1);
    }),
    { numRuns: 100, seed: 1 },
  );
});
