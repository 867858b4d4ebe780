/** Block maps against arrays of bits; map files against crashes, restarts and failing syncs. */
import { describe, test } from '@jest/globals';
import * as fc from 'fast-check';
import { RcopyError } from '../../src/base/errors.ts';
import { KIB } from '../../src/base/limits.ts';
import { MAP_PAGE_BLOCKS } from '../../src/format/map.ts';
import { BlockMap } from '../../src/imageset/block-map.ts';
import { MapFile } from '../../src/imageset/map-file.ts';
import { SimulatedDisk } from '../sim/disk.ts';
import type { Hook } from '../sim/device.ts';
import type { Survival } from '../sim/disk.ts';
import { assertSame } from '../support/asserts.ts';
import { cases, plans } from '../support/properties.ts';

const BLOCK = 4 * KIB;
const PAGE = MAP_PAGE_BLOCKS;
/** Maps that end on, before and behind borders of bytes and pages. */
const SIZES = [1, 7, 8, 9, 100, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE, 2 * PAGE + 100] as const;

/** Blocks, most of them near borders; each property fits them into its map. */
const places = fc.oneof(
  fc
    .tuple(fc.constantFrom(0, PAGE, 2 * PAGE), fc.integer({ min: -9, max: 9 }))
    .map(([border, by]) => Math.max(0, border + by)),
  fc.nat(2 * PAGE + 100),
);

type Edit =
  | { readonly do: 'add' | 'remove'; readonly at: number }
  | { readonly do: 'range'; readonly at: number; readonly end: number };

const edits: fc.Arbitrary<Edit> = fc.oneof(
  fc.record({ do: fc.constantFrom('add' as const, 'remove' as const), at: places }),
  fc.record({ do: fc.constant('range' as const), at: places, end: places }),
);

/** The same as a block map, a byte for each bit. */
class Bits {
  readonly bits: Uint8Array;
  /** Pages in which a bit was turned over since they were last taken. */
  readonly touched = new Set<number>();
  count = 0;

  constructor(bits: Uint8Array) {
    this.bits = Uint8Array.from(bits);
    for (let at = bits.indexOf(1); at >= 0; at = bits.indexOf(1, at + 1)) this.count += 1;
  }

  /** Does it to this model and to `map`. */
  edit(map: BlockMap, edit: Edit): void {
    const last = this.bits.length - 1;
    const at = Math.min(edit.at, last);
    if (edit.do === 'range') {
      const end = Math.min(edit.end, last + 1);
      map.addRange(at, end);
      for (let block = at; block < end; block += 1) this.put(block, 1);
    } else if (edit.do === 'add') {
      map.add(at);
      this.put(at, 1);
    } else {
      map.remove(at);
      this.put(at, 0);
    }
  }

  put(block: number, bit: 0 | 1): void {
    if (this.bits[block] === bit) return;
    this.bits[block] = bit;
    this.count += bit === 1 ? 1 : -1;
    this.touched.add(Math.floor(block / PAGE));
  }

  next(from: number, end: number, set: boolean): number {
    const found = this.bits.subarray(0, end).indexOf(set ? 1 : 0, from);
    return found < 0 ? end : found;
  }
}

/** All bits of a map, out of its pages. */
function bitsOf(map: BlockMap): Uint8Array {
  const { blocks } = map;
  const bits = new Uint8Array(blocks);
  let page = map.bytes(0);
  for (let block = 0, bit = 0; block < blocks; block += 1, bit += 1) {
    if (bit === PAGE) {
      page = map.bytes(block / PAGE);
      bit = 0;
    }
    bits[block] = ((page[bit >>> 3] ?? 0) >>> (bit & 7)) & 1;
  }
  return bits;
}

function assertBits(found: Uint8Array, expected: Uint8Array, where: string): void {
  if (Buffer.compare(found, expected) === 0) return;
  const at = found.findIndex((bit, block) => bit !== expected[block]);
  throw new Error(`${where}: block ${at} is ${found[at]}, not ${expected[at]}`);
}

describe('a block map', () => {
  const steps = fc.oneof(
    { weight: 6, arbitrary: edits },
    { weight: 1, arbitrary: fc.constant({ do: 'take' as const }) },
  );

  test('is a set of numbers, and gives what changed in it', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...SIZES),
        plans(fc.tuple(steps, places, places), 20),
        (blocks, list) => {
          const map = new BlockMap(blocks * BLOCK - 1);
          const model = new Bits(new Uint8Array(blocks));
          const pages = new Map<number, Buffer>();
          for (const [step, a, b] of list) {
            if (step.do === 'take') takePages(map, model, pages);
            else model.edit(map, step);
            assertSame([map.count, map.isFull], [model.count, model.count === blocks]);
            assertSame(map.has(a), model.bits[a] === 1);
            const [from = 0, end = 0] = [a, b]
              .map((at) => Math.min(at, blocks))
              .toSorted(ascending);
            for (const set of [true, false]) {
              assertSame(map.next(from, end, set), model.next(from, end, set));
            }
          }
          takePages(map, model, pages);
          assertBits(bitsOf(map), model.bits, 'in memory');
          const loaded = new BlockMap(blocks * BLOCK);
          for (const [index, bytes] of pages) loaded.load(index, bytes);
          assertBits(bitsOf(loaded), model.bits, 'loaded');
          assertSame([loaded.count, loaded.takeChanged().size], [model.count, 0]);
        },
      ),
      cases(60),
    );
  });
});

describe('a block map that takes in another one', () => {
  test('has the blocks of both, and counts them', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...SIZES),
        plans(edits, 10),
        plans(edits, 10),
        fc.boolean(),
        (blocks, mine, theirs, whole) => {
          const [map, other] = [new BlockMap(blocks * BLOCK), new BlockMap(blocks * BLOCK)];
          const [model, otherModel] = [
            new Bits(new Uint8Array(blocks)),
            new Bits(new Uint8Array(blocks)),
          ];
          for (const edit of mine) model.edit(map, edit);
          for (const edit of theirs) otherModel.edit(other, edit);
          if (whole) {
            // Another set may have bits behind the last block in its pages: they are not taken.
            for (let page = 0; page * PAGE < blocks; page += 1) {
              map.merge(page, Buffer.alloc(PAGE / 8, 0xff));
            }
          } else map.addAll(other);
          for (let block = 0; block < blocks; block += 1) {
            if (whole || otherModel.bits[block] === 1) model.put(block, 1);
          }
          assertBits(bitsOf(map), model.bits, 'joined');
          assertSame([map.count, map.isFull], [model.count, model.count === blocks]);
        },
      ),
      cases(60),
    );
  });
});

const ascending = (one: number, other: number) => one - other;

/** Takes what changed, as a save does: exactly the pages with a bit that was turned over. */
function takePages(map: BlockMap, model: Bits, pages: Map<number, Buffer>): void {
  const taken = map.takeChanged();
  assertSame([...taken.keys()].toSorted(ascending), [...model.touched].toSorted(ascending));
  model.touched.clear();
  for (const [index, bytes] of taken) pages.set(index, bytes);
}

type SaveStep =
  | Edit
  | { readonly do: 'save' | 'reopen' }
  | { readonly do: 'fail'; readonly sync: number }
  | {
      readonly do: 'crash';
      /** Operations of the save that are done before the power goes. */
      readonly after: number;
      readonly survival: Survival;
      readonly seed: number;
    };

const saveSteps: fc.Arbitrary<SaveStep> = fc.oneof(
  { weight: 5, arbitrary: edits },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('save' as const, 'reopen' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('fail' as const), sync: fc.nat(1) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('crash' as const),
      after: fc.nat(7),
      survival: fc.constantFrom<Survival>('lose', 'keep', 'random'),
      seed: fc.nat(1000),
    }),
  },
);

/** What a save has brought to the file, or may have. */
interface Saved {
  readonly sequence: number;
  readonly bits: Uint8Array;
}

const PATH = '/map';
const BLOCKS = 2 * PAGE + 100;
const EPOCH = 3;

/** A map file, and what may be found in it. */
class MapLife {
  private disk = new SimulatedDisk();
  private file: MapFile | undefined;
  private model = new Bits(new Uint8Array(BLOCKS));
  private saves = 0;
  private seen: Saved = { sequence: 0, bits: new Uint8Array(BLOCKS) };
  /** What a power loss may leave: one state, until a save that did not end adds its own. */
  private possible: readonly Saved[] = [this.seen];

  async create(): Promise<void> {
    this.file = await MapFile.create(this.disk, PATH, 'presence', BLOCKS * BLOCK, this.stamp(0));
    await this.disk.syncFolder('/', 'TEST:SYNC');
  }

  async step(step: SaveStep): Promise<void> {
    const { file, disk } = this;
    if (!file) throw new Error('the file was made');
    switch (step.do) {
      case 'add':
      case 'remove':
      case 'range':
        this.model.edit(file.map, step);
        return;
      case 'save':
        await this.save(file);
        return;
      case 'reopen':
        file.close();
        this.open([this.seen]);
        return;
      case 'fail':
        disk.hook = failingSync(step.sync);
        await this.save(file);
        // A failed sync stops the set; the process that opens it next sees what was written.
        this.restart('keep', 1);
        return;
      case 'crash':
        disk.crashAt(disk.operations + step.after);
        await this.save(file);
        this.restart(step.survival, step.seed);
    }
  }

  /** Saves what the map holds, as far as the disk lets it. */
  private async save(file: MapFile): Promise<void> {
    this.saves += 1;
    const saved = { sequence: this.saves, bits: Uint8Array.from(this.model.bits) };
    try {
      await file.save(file.map.takeChanged(), this.stamp(saved.sequence));
      this.possible = [saved];
      this.seen = saved;
    } catch (error) {
      if (!(error instanceof RcopyError) || error.code !== 'E_IO') throw error;
      this.possible = [...this.possible, saved];
    }
  }

  private restart(survival: Survival, seed: number): void {
    this.disk = this.disk.survivors(survival, seed);
    this.open(this.possible);
    if (survival !== 'keep') this.possible = [this.seen];
  }

  /** Opens the file, which must hold one of these states and no mixture. */
  private open(expected: readonly Saved[]): void {
    const file = MapFile.open(this.disk, PATH, 'presence', BLOCKS * BLOCK);
    const { epoch, sequence } = file.stamp;
    const found = expected.findLast((saved) => saved.sequence === sequence);
    if (!found) throw new Error(`the file is as of ${sequence}, which nothing has left`);
    assertSame(epoch, EPOCH);
    assertBits(bitsOf(file.map), found.bits, `as of ${sequence}`);
    this.file = file;
    this.seen = found;
    this.model = new Bits(found.bits);
    assertSame(file.map.count, this.model.count);
  }

  private stamp(sequence: number) {
    return { epoch: EPOCH, sequence };
  }
}

/** Lets the first sync pass, or not, and fails the one behind it. */
function failingSync(passing: number): Hook {
  let syncs = 0;
  return ({ kind }) => {
    if (kind !== 'sync') return undefined;
    syncs += 1;
    return syncs > passing ? 'fail' : undefined;
  };
}

describe('a map file', () => {
  test('[R2] has what the last save brought, or the one under way, never a mixture', async () => {
    await fc.assert(
      fc.asyncProperty(plans(saveSteps, 30), async (list) => {
        const life = new MapLife();
        await life.create();
        for (const step of list) await life.step(step);
        await life.step({ do: 'crash', after: 99, survival: 'lose', seed: 1 });
      }),
      cases(50),
    );
  });
});
