/**
 * Named counter-examples: what once broke designs like this one, and what a review of this one
 * found. Each test is one story, from the write to what a start makes of it.
 */
import { describe, expect, test } from '@jest/globals';
import { epochTag } from '../../src/format/record.ts';
import { encodeSegmentHeader } from '../../src/format/segment.ts';
import { SimulatedDisk } from '../sim/disk.ts';
import {
  OTHER,
  epochId,
  fileNames,
  filled,
  knownOf,
  openJournal,
  openRecord,
  recordsOf,
  reopenJournal,
  sealRecord,
  segmentPath,
  textOf,
  wholeRecord,
  write,
} from '../support/journal-bench.ts';
import type { Journal } from '../../src/journal/journal.ts';
import type { Run } from '../../src/journal/run.ts';

const damaged = (text: RegExp) => ({ code: 'E_DAMAGED', message: expect.stringMatching(text) });

function only(journal: Journal): Run {
  const [run] = journal.runs;
  if (!run || journal.runs.length > 1) throw new Error('the journal holds one run');
  return run;
}

/** Where record `sequence` of a run of one segment begins. */
function offsetOf(run: Run, sequence: number): number {
  let offset = 96;
  for (const { header, bytes } of recordsOf(run)) {
    if (header.kind === 'write' && header.sequence === sequence) return offset;
    offset += bytes.length;
  }
  throw new Error(`record ${sequence} is kept`);
}

/** A journal with a run in which the given requests are durable. */
async function begun(disk: SimulatedDisk, ...texts: string[]) {
  const journal = await openJournal(disk);
  const run = journal.startRun(openRecord());
  for (const text of texts) write(journal, run, text);
  await journal.sync();
  return { journal, run };
}

describe('torn tails', () => {
  test('[R8] a stale record behind a torn tail never becomes valid again', async () => {
    const disk = new SimulatedDisk();
    const { journal, run } = await begun(disk, 'one');
    write(journal, run, 'two');
    write(journal, run, 'three');
    const known = [knownOf(run)];
    disk.flipBit(segmentPath(1, 1), offsetOfText(disk, 'two'), 0);
    const first = await reopenJournal(disk, { known });
    expect(textOf(only(first))).toBe('open 1=one');
    const problem = expect.stringMatching(/a torn tail was cut/) as unknown;
    expect(first.cuts).toEqual([expect.objectContaining({ problem })]);
    // The same request again, at the same time: every byte of its record is as it was.
    write(first, only(first), 'two');
    const survivor = disk.survivors('keep', 0);
    const again = await reopenJournal(survivor, { known });
    expect(textOf(only(again))).toBe('open 1=one 2=two');
    expect(again.cuts).toEqual([]);
  });

  test('[R8] nor when only a part of what is written over it reaches the disk', async () => {
    const disk = new SimulatedDisk();
    const { journal, run } = await begun(disk, 'one');
    const two = filled('two', 512); // so that three begins in another sector
    write(journal, run, two);
    write(journal, run, 'three');
    await journal.sync();
    disk.flipBit(segmentPath(1, 1), offsetOfText(disk, 'two'), 0);
    const known = [knownOf(run, 1)];
    const first = await reopenJournal(disk, { known, ownSet: OTHER });
    write(first, only(first), two);
    for (let seed = 0; seed < 2000; seed += 1) {
      const again = await reopenJournal(disk.survivors('random', seed), { known, ownSet: OTHER });
      expect([seed, textOf(only(again))]).toEqual([seed, expect.not.stringContaining('three')]);
    }
  });

  test('[R8] a record of another history at the expected number is not taken', async () => {
    const disk = new SimulatedDisk();
    const { journal, run } = await begun(disk, 'one');
    const offset = offsetOf(run, 1) + 128;
    await journal.close();
    const { bytes } = wholeRecord('write', { epoch: 1, sequence: 2, chain: 1 }, Buffer.from('no'));
    disk.open(segmentPath(1, 1), 'write', 'TEST:JOURNAL').write([bytes], offset, 'TEST:JOURNAL');
    const again = await reopenJournal(disk, { known: [knownOf(run)] });
    expect(textOf(only(again))).toBe('open 1=one');
  });

  test('[R8] nor is a segment of another history that begins with that number', async () => {
    const disk = new SimulatedDisk();
    const { journal, run } = await begun(disk, 'one', 'two');
    await journal.close();
    const { id: ownId, writer, first } = run.identity;
    const header = {
      epoch: 1,
      firstSequence: 2,
      chain: 1,
      epochId: ownId,
      writer,
      epochFirst: first,
    };
    disk.writeFile(segmentPath(1, 2), encodeSegmentHeader(header));
    const again = await reopenJournal(disk, { known: [knownOf(run)] });
    expect(textOf(only(again))).toBe('open 1=one 2=two');
  });

  test('[R8] nor when the start that cuts it is interrupted anywhere', async () => {
    for (let crash = 0; crash < 40; crash += 1) {
      const disk = new SimulatedDisk({ seed: crash });
      const { journal, run } = await begun(disk, 'one');
      write(journal, run, 'two');
      write(journal, run, 'three');
      const known = [knownOf(run)];
      disk.flipBit(segmentPath(1, 1), offsetOfText(disk, 'two'), 0);
      const crashing = disk.survivors('keep', crash);
      crashing.crashAt(crash);
      await reopenJournal(crashing, { known }).catch(() => undefined);
      if (!crashing.crashed) return;
      const survivor = crashing.survivors('random', crash);
      const again = await reopenJournal(survivor, { known });
      write(again, only(again), 'two');
      const last = await reopenJournal(survivor.survivors('keep', 0), { known });
      expect(textOf(only(last))).toBe('open 1=one 2=two');
    }
    throw new Error('recovery has fewer steps than that');
  });

  test('[R8] a receiver’s torn tail below its sender’s durable number is cut', async () => {
    const disk = new SimulatedDisk();
    const journal = await openJournal(disk);
    const run = journal.startRun(openRecord({ writer: OTHER }));
    const send = (sequence: number, text: string) => {
      const tag = epochTag(run.identity.id);
      const place = {
        epoch: 1,
        sequence,
        chain: run.chain,
        durableSequence: sequence,
        epochTag: tag,
      };
      journal.appendReceived(run, [wholeRecord('write', place, Buffer.from(text))]);
    };
    send(1, 'one');
    await journal.sync();
    const known = [knownOf(run)];
    send(2, 'two');
    send(3, 'three');
    disk.flipBit(segmentPath(1, 1), offsetOfText(disk, 'two'), 0);
    const again = await reopenJournal(disk, { known });
    expect(textOf(only(again))).toBe('open 1=one');
    expect(again.cuts).toHaveLength(1);
  });

  test('[R1] half a request synced, then a crash: the tail is cut to its start', async () => {
    const disk = new SimulatedDisk();
    const { journal, run } = await begun(disk, 'one');
    for (let part = 0; part < 4; part += 1) {
      journal.append(run, {
        kind: 'write',
        volume: 0,
        offset: part * 4096,
        length: 4096,
        payload: [Buffer.alloc(4096, part)],
        payloadLength: 4096,
        endOfRequest: false,
        mayFree: false,
      });
      journal.write(run, 4096);
      await journal.sync();
    }
    const again = await reopenJournal(disk.survivors('lose', 0), { known: [knownOf(run)] });
    expect([textOf(only(again)), only(again).next]).toEqual(['open 1=one', 2]);
    expect(fileNames(disk).split(' ').length).toBeGreaterThan(1);
  });

  test('[R8] a recycled segment’s old content behind the new tail is no record', async () => {
    const disk = new SimulatedDisk();
    const { journal, run } = await begun(disk);
    for (let request = 0; request < 12; request += 1) {
      write(journal, run, filled('old', 4000));
      await journal.sync();
    }
    journal.trim(1, run.next);
    await journal.sync();
    expect(fileNames(disk)).toContain('spare-');
    for (let request = 0; request < 4; request += 1) write(journal, run, filled('new', 4000));
    await journal.sync();
    expect(fileNames(disk)).not.toContain('spare-1 ');
    const applied = { epoch: 1, sequence: run.next - 1, chain: run.chain };
    for (const mode of ['lose', 'keep'] as const) {
      const survivor = disk.survivors(mode, 0);
      const again = await reopenJournal(survivor, { known: [knownOf(run)], applied });
      expect(only(again).next).toBe(run.next);
      expect(again.cuts).toEqual([]);
    }
  });
});

describe('damage', () => {
  test('[R8] a journal whose cursors know more than it holds', async () => {
    const disk = new SimulatedDisk();
    const { run } = await begun(disk, 'one', 'two');
    await expect(reopenJournal(disk, { known: [knownOf(run, 3)] })).rejects.toMatchObject(
      damaged(/00000001-0000000000000001\.rcj at offset \d+: record 3 of epoch 1/),
    );
  });

  test('[R8] a journal whose cursors know another epoch under that number', async () => {
    const disk = new SimulatedDisk();
    const { run } = await begun(disk, 'one', 'two');
    const known = [{ ...knownOf(run), id: epochId(77), durable: 1 }];
    await expect(reopenJournal(disk, { known })).rejects.toMatchObject(
      damaged(/the journal of epoch 1 is gone/),
    );
  });

  test('what cursors know of another epoch under a number says nothing here', async () => {
    const disk = new SimulatedDisk();
    const { run } = await begun(disk, 'one', 'two');
    const known = [{ ...knownOf(run), id: epochId(77), durable: 9 }];
    const applied = { epoch: 2, sequence: 9, chain: 0 };
    expect(only(await reopenJournal(disk, { known, applied })).next).toBe(3);
  });

  test('[R8] the open record of an epoch that the images are in', async () => {
    const disk = new SimulatedDisk();
    const { run } = await begun(disk);
    disk.flipBit(segmentPath(1, 1), 96 + 97, 0);
    const applied = { epoch: 1, sequence: 0, chain: 0 };
    await expect(reopenJournal(disk, { known: [knownOf(run)], applied })).rejects.toMatchObject(
      damaged(/0001\.rcj at offset 96: .* the record that begins the run is gone/),
    );
  });

  test('[R8] the durable open record of an epoch that another set writes', async () => {
    const disk = new SimulatedDisk();
    const { journal, run } = await begun(disk);
    await journal.close();
    const known = [knownOf(run)];
    for (const bytes of [96, 100]) {
      disk.truncate(segmentPath(1, 1), bytes);
      await expect(reopenJournal(disk, { known, ownSet: OTHER })).rejects.toMatchObject(
        damaged(/0001\.rcj at offset 96: .* the record that begins the run is gone/),
      );
    }
  });

  test('[R8] the header of a segment that holds nothing but a durable open record', async () => {
    const disk = new SimulatedDisk();
    const { run } = await begun(disk);
    disk.flipBit(segmentPath(1, 1), 20, 1);
    const unknown = await reopenJournal(disk.survivors('keep', 0));
    expect(unknown.runs).toEqual([]);
    await expect(reopenJournal(disk, { known: [knownOf(run)] })).rejects.toMatchObject(
      damaged(/0001\.rcj at offset 0: .* its header is gone/),
    );
  });

  test('[R8] a seal that stands lower than the durable number', async () => {
    const disk = new SimulatedDisk();
    const { journal, run } = await begun(disk, 'one', 'two');
    journal.appendReceived(run, [sealRecord(run)]);
    await journal.sync();
    const known = [knownOf(run, run.durable + 1)];
    await expect(reopenJournal(disk, { known })).rejects.toMatchObject(
      damaged(/0000000000000001\.rcj at offset \d+: .* it ends before number 4/),
    );
  });

  /** A run of four requests with a flipped bit in one, and where that one begins. */
  async function flippedIn(sequence: number) {
    const disk = new SimulatedDisk();
    const { run } = await begun(disk, 'one', 'two', 'three', 'four');
    const offset = offsetOf(run, sequence);
    disk.flipBit(segmentPath(1, 1), offset + 96, 3);
    return { disk, run, offset };
  }

  test.each([1, 2, 3, 4])('[R8] a flipped bit in durable record %i stops the start', async (n) => {
    const { disk, run, offset } = await flippedIn(n);
    for (let durable = n; durable <= 4; durable += 1) {
      await expect(reopenJournal(disk, { known: [knownOf(run, durable)] })).rejects.toMatchObject(
        damaged(new RegExp(`0001\\.rcj at offset ${offset}: record ${n} of epoch 1`)),
      );
    }
  });

  test.each([1, 2, 3, 4])('[R8] one in record %i, which was not, is cut and said', async (n) => {
    const { disk, run, offset } = await flippedIn(n);
    for (let durable = 0; durable < n; durable += 1) {
      const survivor = disk.survivors('keep', 0);
      const journal = await reopenJournal(survivor, { known: [knownOf(run, durable)] });
      expect(only(journal).next).toBe(n);
      expect(journal.cuts).toEqual([expect.objectContaining({ offset })]);
    }
  });

  test('[R8] a flipped bit in a durable seal, and in one not known to be durable', async () => {
    const disk = new SimulatedDisk();
    const { journal, run } = await begun(disk, 'one');
    const offset = offsetOf(run, 1) + recordsOf(run).at(-1)!.bytes.length;
    journal.appendReceived(run, [sealRecord(run)]);
    await journal.sync();
    expect([run.durable, run.next]).toEqual([2, 2]);
    disk.flipBit(segmentPath(1, 1), offset + 100, 0);
    await expect(reopenJournal(disk, { known: [knownOf(run)] })).rejects.toMatchObject(
      damaged(new RegExp(`0001\\.rcj at offset ${offset}: record 2 of epoch 1`)),
    );
    const again = await reopenJournal(disk, { known: [knownOf(run, 1)] });
    expect([textOf(only(again)), only(again).seal]).toEqual(['open 1=one', undefined]);
    expect(again.cuts).toHaveLength(1);
  });

  test('[R8] a later header’s durable number proves a missing record durable', async () => {
    const disk = new SimulatedDisk();
    const { journal, run } = await begun(disk, 'one', 'two');
    write(journal, run, 'three'); // it says that two is durable
    const offset = offsetOf(run, 2);
    disk.flipBit(segmentPath(1, 1), offset, 0);
    for (const known of [[], [knownOf(run, 1)]]) {
      await expect(reopenJournal(disk, { known })).rejects.toMatchObject(
        damaged(new RegExp(`0001\\.rcj at offset ${offset}: record 2 of epoch 1`)),
      );
    }
  });

  test('[R8] a later segment’s headers prove it too, across a damaged segment header', async () => {
    const disk = new SimulatedDisk();
    const { journal, run } = await begun(disk);
    for (let request = 0; request < 12; request += 1) {
      write(journal, run, filled('data', 4000));
      await journal.sync();
    }
    const second = run.segments[1]!.firstSequence;
    disk.flipBit(segmentPath(1, second), 20, 0);
    await expect(reopenJournal(disk)).rejects.toMatchObject(
      damaged(new RegExp(`0001\\.rcj at offset \\d+: record ${second} of epoch 1`)),
    );
  });

  test('[R8] a host that stores journals on its volume proves nothing about this one', async () => {
    const foreign = new SimulatedDisk();
    const other = await openJournal(foreign, { ownSet: OTHER });
    const otherRun = other.startRun(openRecord({ writer: OTHER, id: epochId(9) }));
    for (let request = 0; request < 20; request += 1) {
      write(other, otherRun, 'x');
      await other.sync();
    }
    const copy = recordsOf(otherRun)
      .slice(-3)
      .map(({ bytes }) => bytes);

    const disk = new SimulatedDisk();
    const { journal, run } = await begun(disk, 'one');
    write(journal, run, 'torn');
    const offset = offsetOfText(disk, 'torn');
    write(journal, run, Buffer.concat(copy));
    disk.flipBit(segmentPath(1, 1), offset, 0);
    const again = await reopenJournal(disk, { known: [knownOf(run)] });
    expect(textOf(only(again))).toBe('open 1=one');
  });

  test('[R8] images that are older than what the journal keeps', async () => {
    const disk = new SimulatedDisk();
    const { journal, run } = await begun(disk);
    for (let request = 0; request < 12; request += 1) write(journal, run, filled('x', 4000));
    await journal.sync();
    journal.trim(1, 11);
    await journal.sync();
    const applied = { epoch: 1, sequence: run.firstKept - 2, chain: 0 };
    await expect(reopenJournal(disk, { known: [knownOf(run)], applied })).rejects.toMatchObject(
      damaged(new RegExp(`number ${run.firstKept - 1} of epoch 1`)),
    );
  });

  test('a header that promises gigabytes is refused, not read', async () => {
    const disk = new SimulatedDisk();
    const { journal, run } = await begun(disk, 'one');
    const { encodeRecordHeader } = await import('../../src/format/record.ts');
    const header = Buffer.alloc(96);
    encodeRecordHeader(header, 0, {
      ...recordsOf(run).at(-1)!.header,
      payloadLength: 0xffff_ffff,
      length: 0xffff_ffff,
      sequence: 2,
      chain: run.chain,
    });
    await journal.close();
    const file = disk.open(segmentPath(1, 1), 'write', 'TEST:JOURNAL');
    file.write([header], offsetOf(run, 1) + 128, 'TEST:JOURNAL');
    const again = await reopenJournal(disk);
    expect([textOf(only(again)), again.cuts.length]).toEqual(['open 1=one', 1]);
  });
});

describe('crashes around new segments', () => {
  /** A run whose first segment is full and durable, with `request` begun in the next one. */
  async function rolled(disk: SimulatedDisk) {
    const { journal, run } = await begun(disk);
    while (run.segments.length === 1) {
      await journal.sync();
      write(journal, run, filled('x', 4000));
    }
    expect(run.durable).toBe(run.next - 2);
    const applied = {
      epoch: 1,
      sequence: run.durable,
      chain: recordsOf(run).at(-1)!.header.ownChain,
    };
    return { journal, run, applied };
  }

  test('[R7] a new segment that never reached the disk takes no older one with it', async () => {
    const disk = new SimulatedDisk();
    const { run, applied } = await rolled(disk);
    // The name of the new file is there, its header is not.
    const before = textOf(run);
    disk.writeFile(segmentPath(1, run.next - 1), Buffer.alloc(8192));
    const again = await reopenJournal(disk, { known: [knownOf(run)], applied });
    expect(textOf(only(again))).toBe(before);
    expect([only(again).firstKept, only(again).next]).toEqual([1, run.next - 1]);
  });

  test('[R7] the only durable segment is not trimmed before the next one is durable', async () => {
    const disk = new SimulatedDisk();
    const { journal, run, applied } = await rolled(disk);
    journal.trim(1, applied.sequence + 1);
    for (let seed = 0; seed < 40; seed += 1) {
      const survivor = disk.survivors('random', seed);
      const again = await reopenJournal(survivor, { known: [knownOf(run)], applied });
      expect([seed, only(again).next >= run.durable + 1]).toEqual([seed, true]);
    }
  });

  test('[R4] a run whose open record was not synced never began', async () => {
    const disk = new SimulatedDisk();
    const journal = await openJournal(disk);
    journal.startRun(openRecord());
    await journal.sync();
    disk.truncate(segmentPath(1, 1), 96);
    const again = await reopenJournal(disk);
    expect([again.runs.length, fileNames(disk)]).toEqual([0, '']);
    expect(again.cuts).toHaveLength(1);
    const run = again.startRun(openRecord({ id: epochId(5) }));
    write(again, run, 'one');
    await again.sync();
    const last = await reopenJournal(disk.survivors('lose', 0), { known: [knownOf(run)] });
    expect([textOf(only(last)), only(last).identity.id]).toEqual(['open 1=one', epochId(5)]);
  });

  test('a run that was begun but not synced is not missed', async () => {
    const disk = new SimulatedDisk();
    const journal = await openJournal(disk);
    const run = journal.startRun(openRecord());
    const again = await reopenJournal(disk.survivors('lose', 0), { known: [knownOf(run)] });
    expect(again.runs).toEqual([]);
  });
});

describe('readers', () => {
  /** A journal with spares, so that new segments are full of old content. */
  async function withSpares(disk: SimulatedDisk) {
    const { journal, run } = await begun(disk);
    for (let request = 0; request < 12; request += 1) write(journal, run, filled('old', 4000));
    await journal.sync();
    journal.trim(1, run.next);
    await journal.sync();
    return { journal, run };
  }

  test.each([1000, 4000])(
    'one that has caught up sees what comes over old content',
    async (bytes) => {
      const disk = new SimulatedDisk();
      const { journal, run } = await withSpares(disk);
      const reader = run.readFrom(run.next);
      for (let request = 0; request < 20; request += 1) {
        const sequence = write(journal, run, filled('new', bytes));
        await journal.sync();
        expect(reader.next(run.durable)?.header.sequence).toBe(sequence);
        expect(reader.next(run.durable)).toBeUndefined();
      }
    },
  );

  test('one at a new segment that holds an old open record waits', async () => {
    const disk = new SimulatedDisk();
    const { journal, run } = await withSpares(disk);
    const record = {
      kind: 'write',
      volume: 0,
      offset: 0,
      length: 4000,
      payload: [Buffer.alloc(4000)],
      payloadLength: 4000,
      endOfRequest: true,
      mayFree: false,
    } as const;
    const reader = run.readFrom(run.next);
    for (let request = 0; request < 8; request += 1) {
      journal.append(run, record); // may begin a segment, which is written later
      expect(reader.next(run.durable)).toBeUndefined();
      journal.write(run, 4000);
      await journal.sync();
      expect(reader.next(run.durable)?.header.sequence).toBe(run.next - 1);
    }
  });

  test('[R7] one that was overtaken by the trimming is told so; it is no damage', async () => {
    const disk = new SimulatedDisk();
    const { journal, run } = await begun(disk);
    for (let request = 0; request < 12; request += 1) write(journal, run, filled('old', 4000));
    await journal.sync();
    const reader = run.readFrom(1);
    expect(reader.next(run.durable)?.header.kind).toBe('open');
    journal.trim(1, run.next);
    await journal.sync();
    for (let request = 0; request < 9; request += 1) write(journal, run, filled('new', 4000));
    await journal.sync();
    const readAll = () => {
      for (let record = reader.next(run.durable); record; record = reader.next(run.durable));
    };
    expect(readAll).toThrow(expect.objectContaining({ code: 'E_STATE' }));
    expect(() => run.readFrom(1)).toThrow(expect.objectContaining({ code: 'E_STATE' }));
  });

  test('[R3] the head of a run is not read before it is durable', async () => {
    const disk = new SimulatedDisk();
    const journal = await openJournal(disk);
    const run = journal.startRun(openRecord());
    const reader = run.readFrom(1);
    expect(reader.next(run.durable)).toBeUndefined();
    await journal.sync();
    expect(reader.next(run.durable)?.header.kind).toBe('open');
  });

  test('[R8] a record that decays after the start is seen when it is read', async () => {
    const disk = new SimulatedDisk();
    const { run } = await begun(disk, 'one', 'two');
    const offset = offsetOf(run, 2);
    disk.flipBit(segmentPath(1, 1), offset + 97, 0);
    expect(() => recordsOf(run)).toThrow(
      expect.objectContaining(damaged(new RegExp(`at offset ${offset}: record 2 of epoch 1`))),
    );
  });
});

describe('files', () => {
  /** Counts the handles that are open now. */
  function countHandles(disk: SimulatedDisk): () => number {
    let open = 0;
    const original = disk.open.bind(disk);
    disk.open = (...given) => {
      const handle = original(...given);
      const close = handle.close.bind(handle);
      let closed = false;
      open += 1;
      handle.close = () => {
        if (!closed) open -= 1;
        closed = true;
        close();
      };
      return handle;
    };
    return () => open;
  }

  test('[R9] a run that is given up keeps no file open', async () => {
    const disk = new SimulatedDisk();
    const open = countHandles(disk);
    const journal = await openJournal(disk);
    for (let epoch = 1; epoch < 10; epoch += 1) {
      const run = journal.startRun(openRecord({ epoch }));
      for (let request = 0; request < 8; request += 1) write(journal, run, filled('x', 4000));
      if (epoch % 2 === 0) await journal.sync();
      const synced = epoch % 3 === 0 ? journal.sync() : undefined;
      journal.discard(run);
      await synced;
    }
    await journal.sync();
    expect(open()).toBe(0);
  });

  /** Opens, writes, closes; the code of what went wrong on the way. */
  async function use(disk: SimulatedDisk): Promise<unknown> {
    let journal: Journal | undefined;
    try {
      journal = await reopenJournal(disk);
      for (let request = 0; request < 9; request += 1) {
        write(journal, only(journal), filled('x', 4000));
      }
      await journal.sync();
      return undefined;
    } catch (error) {
      return (error as { code?: unknown }).code;
    } finally {
      await journal?.close();
    }
  }

  test.each([
    'JOURNAL:SYNC',
    'JOURNAL:SYNC-FOLDER',
    'JOURNAL:APPEND',
    'JOURNAL:CREATE',
    'JOURNAL:TAIL-SYNC',
    'JOURNAL:TAIL-WRITE',
    'JOURNAL:SCAN',
    'JOURNAL:LIST',
  ])('[R9] nor does one whose %s failed', async (label) => {
    const disk = new SimulatedDisk();
    const { journal } = await begun(disk, 'one');
    await journal.close();
    const open = countHandles(disk);
    disk.hook = (operation) => (operation.label === label ? 'fail' : undefined);
    expect(await use(disk)).toBe('E_IO');
    expect(open()).toBe(0);
  });
});

/** Where the record with this payload begins: found in the bytes of the first segment. */
function offsetOfText(disk: SimulatedDisk, text: string): number {
  const at = Buffer.from(disk.readFile(segmentPath(1, 1))).indexOf(text);
  if (at < 0) throw new Error(`${text} is in the first segment`);
  return at - 96;
}
