/** Extent maps and the two layers above the images, against arrays with an entry for each byte. */
import { describe, test } from '@jest/globals';
import * as fc from 'fast-check';
import { ExtentMap } from '../../src/imageset/extent-map.ts';
import { Overlay } from '../../src/imageset/overlay.ts';
import type { OverlayLayer } from '../../src/imageset/overlay.ts';
import { assertSame } from '../support/asserts.ts';
import { pattern } from '../support/image-sets.ts';
import { cases, plans } from '../support/properties.ts';

const SPACE = 200;
const VOLUMES = 2;

/** Where in the space a stretch lies; never empty. */
interface Stretch {
  readonly start: number;
  readonly end: number;
}

interface Insert extends Stretch {
  readonly what: 'data' | 'hole' | 'zeroes';
  readonly volume: number;
}

const stretches = fc
  .tuple(fc.nat(SPACE - 1), fc.integer({ min: 1, max: 60 }))
  .map(([start, length]): Stretch => ({ start, end: Math.min(SPACE, start + length) }));

const inserts = fc
  .tuple(stretches, fc.constantFrom('data', 'hole', 'zeroes'), fc.nat(VOLUMES - 1))
  .map(([{ start, end }, what, volume]): Insert => ({ start, end, what, volume }));

/** One byte that was inserted. */
interface Cell {
  /** Counts the inserts: neighbours out of the same one lie in one extent. */
  readonly id: number;
  readonly what: Insert['what'];
  readonly byte: number;
}

/** What an extent map holds, byte by byte; undefined where nothing was inserted. */
class Cells {
  private readonly cells = Array.from({ length: SPACE }, (): Cell | undefined => undefined);

  insert({ start, end, what }: Insert, id: number, data: Buffer | undefined): void {
    for (let at = start; at < end; at += 1) {
      this.cells[at] = { id, what, byte: data?.[at - start] ?? 0 };
    }
  }

  covers({ start, end }: Stretch): boolean {
    return this.cells.slice(start, end).every((cell) => cell !== undefined);
  }

  copyOver(target: Buffer): void {
    for (const [at, cell] of this.cells.entries()) if (cell) target[at] = cell.byte;
  }

  /** The extents that there must be: one for each stretch of bytes out of the same insert. */
  get extents(): readonly (Stretch & { readonly bytes: number[]; what: Cell['what'] })[] {
    const found: { start: number; end: number; id: number; bytes: number[]; what: Cell['what'] }[] =
      [];
    for (const [at, cell] of this.cells.entries()) {
      if (!cell) continue;
      const { id, what, byte } = cell;
      const last = found.at(-1);
      if (last?.end !== at || last.id !== id) {
        found.push({ start: at, end: at + 1, id, bytes: [byte], what });
      } else {
        last.end += 1;
        last.bytes.push(byte);
      }
    }
    return found;
  }

  get dataBytes(): number {
    return this.cells.filter((cell) => cell?.what === 'data').length;
  }
}

/** Throws unless the map holds the same extents as the model, and counts their bytes. */
function assertMap(map: ExtentMap, model: Cells): void {
  const found = [...map.extents()].map(({ start, end, data, mayFree }) => ({
    start,
    end,
    bytes: [...(data ?? Buffer.alloc(end - start))],
    what: data ? 'data' : mayFree ? 'hole' : 'zeroes',
  }));
  const expected = model.extents.map(({ start, end, bytes, what }) => ({
    start,
    end,
    bytes,
    what,
  }));
  assertSame(found, expected);
  assertSame(map.dataBytes, model.dataBytes);
  assertSame(map.heldBytes, model.dataBytes + expected.length * EXTENT_COST);
}

/** What an extent counts for beside its data. */
const EXTENT_COST = (() => {
  const map = new ExtentMap();
  map.insert(0, 1, undefined, false);
  return map.heldBytes;
})();

function dataOf({ start, end, what }: Insert, id: number): Buffer | undefined {
  return what === 'data' ? pattern(id, end - start) : undefined;
}

/** Few extents in a leaf make many leaves. */
const leafSizes = fc.constantFrom(2, 3, 5, 64);

describe('an extent map', () => {
  test('is an array of bytes, some of them not there', () => {
    fc.assert(
      fc.property(plans(fc.tuple(inserts, stretches), 40), leafSizes, (list, leafExtentsMax) => {
        const map = new ExtentMap(leafExtentsMax);
        const model = new Cells();
        for (const [id, [insert, range]] of list.entries()) {
          const { start, end, what } = insert;
          const data = dataOf(insert, id);
          map.insert(start, end - start, data, what === 'hole');
          model.insert(insert, id, data);
          assertMap(map, model);
          assertSame(map.covers(range.start, range.end), model.covers(range));
          assertTouching(map, range);
        }
      }),
      cases(300),
    );
  });
});

function assertTouching(map: ExtentMap, { start, end }: Stretch): void {
  const touching = [...map.extents()].filter((extent) => extent.start < end && extent.end > start);
  const visited: unknown[] = [];
  map.forEachIn(start, end, (extent) => visited.push(extent));
  assertSame(visited, touching);
  assertSame(map.firstIn(start, end), touching[0]);
}

type Step =
  | { readonly do: 'request'; readonly inserts: readonly Insert[] }
  | { readonly do: 'freeze' | 'release' };

const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('request' as const),
      // A mark is a request that inserts nothing.
      inserts: fc.array(inserts, { maxLength: 3 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constantFrom('freeze' as const, 'release' as const) }),
  },
);

/** The overlay and images below it, beside a model of both. */
class Layers {
  readonly overlay = new Overlay(VOLUMES);
  private readonly images = Array.from({ length: VOLUMES }, () => Buffer.alloc(SPACE, 0xee));
  /** What reads must see. */
  private readonly expected = this.images.map((image) => Buffer.from(image));
  private current = newLayer();
  private frozen: ModelLayer | undefined;
  private sequence = 0;
  private id = 0;

  step(step: Step): void {
    switch (step.do) {
      case 'request':
        for (const insert of step.inserts) this.insert(insert);
        this.sequence += 1;
        this.current.upTo = this.sequence;
        this.overlay.endRequest(positionAt(this.sequence));
        return;
      case 'freeze': {
        if (!this.frozen && this.current.upTo > 0) {
          this.frozen = this.current;
          this.current = newLayer();
        }
        const upTo = this.frozen && positionAt(this.frozen.upTo);
        assertSame(this.overlay.freeze()?.upTo, upTo);
        return;
      }
      case 'release':
        if (this.frozen) this.apply();
        this.overlay.release();
        this.frozen = undefined;
    }
  }

  check({ start, end }: Stretch): void {
    const { overlay, current, frozen } = this;
    const layers = frozen ? [frozen, current] : [current];
    for (const [volume, image] of this.images.entries()) {
      const seen = Buffer.from(image.subarray(start, end));
      overlay.copyOver(volume, start, seen);
      assertSame(seen, this.expected[volume]?.subarray(start, end));
      const covered = Array.from({ length: end - start }, (_, at) => start + at).every((at) =>
        layers.some(({ cells }) => cells[volume]?.covers({ start: at, end: at + 1 })),
      );
      assertSame(overlay.covers(volume, start, end), covered);
      const maps = overlay.layers(volume);
      assertSame(maps.length, layers.length);
      for (const [index, map] of maps.entries()) {
        const model = layers[index]?.cells[volume];
        if (model) assertMap(map, model);
      }
    }
    assertSame(overlay.isFrozen, frozen !== undefined);
    assertSame(overlay.isEmpty, frozen === undefined && current.upTo === 0);
    assertSame(overlay.waitingBytes, costOf(current));
    assertSame(overlay.heldBytes, costOf(current) + (frozen ? costOf(frozen) : 0));
  }

  private insert(insert: Insert): void {
    const { volume, start, end, what } = insert;
    this.id += 1;
    const data = dataOf(insert, this.id);
    this.expected[volume]?.set(data ?? Buffer.alloc(end - start), start);
    this.overlay.insert(volume, start, end - start, data, what === 'hole');
    this.current.cells[volume]?.insert(insert, this.id, data);
    this.current.payloadBytes += data?.length ?? 0;
    data?.fill(0xdd); // the overlay has a copy
  }

  /** The applier brings the frozen layer into the images, as the overlay gave it. */
  private apply(): void {
    const layer = this.overlay.freeze() as OverlayLayer;
    for (const [volume, map] of layer.volumes.entries()) {
      for (const { start, end, data } of map.extents()) {
        this.images[volume]?.set(data ?? Buffer.alloc(end - start), start);
      }
    }
  }
}

interface ModelLayer {
  readonly cells: readonly Cells[];
  /** The last request in it; 0 when there is none. */
  upTo: number;
  /** Of all payload that came into it, also of what newer payload covers. */
  payloadBytes: number;
}

function newLayer(): ModelLayer {
  return { cells: Array.from({ length: VOLUMES }, () => new Cells()), upTo: 0, payloadBytes: 0 };
}

function costOf({ cells, payloadBytes }: ModelLayer): number {
  const extents = cells.reduce((sum, each) => sum + each.extents.length, 0);
  return payloadBytes + extents * EXTENT_COST;
}

const positionAt = (sequence: number) => ({ epoch: 1, sequence, chain: sequence * 7 });

describe('the overlay', () => {
  test('reads as one thing, whichever layer holds what, while an applier empties it', () => {
    fc.assert(
      fc.property(plans(fc.tuple(steps, stretches), 40), (list) => {
        const layers = new Layers();
        for (const [step, range] of list) {
          layers.step(step);
          layers.check(range);
        }
        layers.check({ start: 0, end: SPACE });
      }),
      cases(120),
    );
  });
});
