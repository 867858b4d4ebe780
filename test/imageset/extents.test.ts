/** Extent maps and the two layers above the images, against plain buffers. */
import * as fc from 'fast-check';
import { describe, expect, test } from '@jest/globals';
import { ExtentMap } from '../../src/imageset/extent-map.ts';
import { Overlay } from '../../src/imageset/overlay.ts';
import type { OverlayLayer } from '../../src/imageset/overlay.ts';
import { pattern } from '../support/image-sets.ts';

const SPACE = 200;

interface Insert {
  readonly start: number;
  readonly length: number;
  readonly data: Buffer | undefined;
  readonly mayFree: boolean;
}

const inserts = fc
  .tuple(
    fc.nat(SPACE - 1),
    fc.integer({ min: 1, max: 60 }),
    fc.nat(250),
    fc.boolean(),
    fc.boolean(),
  )
  .map(([start, wanted, id, isData, mayFree]): Insert => {
    const length = Math.min(wanted, SPACE - start);
    return { start, length, data: isData ? pattern(id, length) : undefined, mayFree };
  });

/** What each byte is: unknown below (-1), or a value; and whether it is zeroes by request. */
class Model {
  readonly bytes = Array<number>(SPACE).fill(-1);
  readonly kinds = Array<string>(SPACE).fill('none');

  insert({ start, length, data, mayFree }: Insert): void {
    for (let at = 0; at < length; at += 1) {
      this.bytes[start + at] = data ? (data[at] ?? 0) : 0;
      this.kinds[start + at] = data ? 'data' : mayFree ? 'hole' : 'zeroes';
    }
  }

  covers(start: number, end: number): boolean {
    return this.bytes.slice(start, end).every((byte) => byte >= 0);
  }
}

function bytesOf(map: ExtentMap): Model {
  const seen = new Model();
  let last = 0;
  for (const { start, end, data, mayFree } of map.extents) {
    expect(start).toBeGreaterThanOrEqual(last);
    expect(end).toBeGreaterThan(start);
    last = end;
    seen.insert({ start, length: end - start, data: data && Buffer.from(data), mayFree });
  }
  return seen;
}

describe('an extent map', () => {
  test('holds the newest of everything, in order, and counts its bytes', () => {
    fc.assert(
      fc.property(fc.array(inserts, { maxLength: 40 }), (list) => {
        const map = new ExtentMap();
        const model = new Model();
        for (const each of list) {
          map.insert(each.start, each.length, each.data, each.mayFree);
          model.insert(each);
        }
        const seen = bytesOf(map);
        expect(seen.bytes).toEqual(model.bytes);
        expect(seen.kinds).toEqual(model.kinds);
        const data = map.extents.reduce((sum, extent) => sum + (extent.data?.length ?? 0), 0);
        expect(map.dataBytes).toBe(data);
      }),
      { numRuns: 300, seed: 11 },
    );
  });

  test('finds what touches a range, and whether all of it is covered', () => {
    const ranges = fc.tuple(fc.nat(SPACE - 1), fc.integer({ min: 1, max: SPACE }));
    fc.assert(
      fc.property(fc.array(inserts, { maxLength: 15 }), ranges, (list, [start, wanted]) => {
        const end = Math.min(SPACE, start + wanted);
        const map = new ExtentMap();
        const model = new Model();
        for (const each of list) {
          map.insert(each.start, each.length, each.data, each.mayFree);
          model.insert(each);
        }
        expect(map.covers(start, end)).toBe(model.covers(start, end));
        const touching = map.extents.filter((extent) => extent.start < end && extent.end > start);
        const visited: unknown[] = [];
        map.forEachIn(start, end, (extent) => visited.push(extent));
        expect(visited).toEqual(touching);
        expect(map.firstIn(start, end)).toEqual(touching[0]);
      }),
      { numRuns: 300, seed: 12 },
    );
  });
});

describe('the overlay', () => {
  const steps = fc.oneof(
    { weight: 8, arbitrary: inserts },
    { weight: 1, arbitrary: fc.constant('freeze' as const) },
    { weight: 1, arbitrary: fc.constant('release' as const) },
  );

  test('reads as one thing, whichever layer holds what, while an applier empties it', () => {
    fc.assert(
      fc.property(
        fc.array(steps, { maxLength: 60 }),
        fc.nat(SPACE),
        fc.nat(SPACE),
        (list, a, b) => {
          const overlay = new Overlay(2);
          const image = Buffer.alloc(SPACE, 0xee);
          const expected = Buffer.from(image);
          let sequence = 0;
          for (const step of list) {
            if (step === 'freeze') overlay.freeze();
            else if (step === 'release') applyFrozen(overlay, image);
            else {
              overlay.insert(1, step.start, step.length, step.data, step.mayFree);
              sequence += 1;
              overlay.endRequest({ epoch: 1, sequence, chain: sequence });
              expected.set(step.data ?? Buffer.alloc(step.length), step.start);
            }
            const seen = Buffer.from(image);
            overlay.copyOver(1, 0, seen);
            expect(seen.equals(expected)).toBe(true);
          }
          const [start, end] = [Math.min(a, b), Math.max(a, b)];
          const covered = covers(overlay, start, end);
          expect(overlay.covers(1, start, end)).toBe(covered);
          expect(overlay.layers(0).every((layer) => layer.extents.length === 0)).toBe(true);
        },
      ),
      { numRuns: 300, seed: 13 },
    );
  });

  test('hands a layer out once, with the end of its last whole request', () => {
    const overlay = new Overlay(1);
    expect(overlay.freeze()).toBeUndefined();
    overlay.insert(0, 0, 10, pattern(1, 10), false);
    expect(overlay.freeze()).toBeUndefined();
    expect(overlay.isEmpty).toBe(true);
    overlay.endRequest({ epoch: 1, sequence: 3, chain: 9 });
    expect(overlay.isEmpty).toBe(false);
    const layer = overlay.freeze();
    expect(layer?.upTo).toEqual({ epoch: 1, sequence: 3, chain: 9 });
    overlay.insert(0, 5, 10, pattern(2, 10), false);
    expect(overlay.freeze()).toBe(layer);
    const each = overlay.waitingBytes;
    expect(each).toBeGreaterThan(10);
    expect(overlay.heldBytes).toBe(2 * each);
    overlay.release();
    expect([overlay.heldBytes, overlay.waitingBytes]).toEqual([each, each]);
  });
});

function applyFrozen(overlay: Overlay, image: Buffer): void {
  if (!overlay.isFrozen) return;
  const layer = overlay.freeze() as OverlayLayer;
  for (const { start, end, data } of layer.volumes[1]?.extents ?? []) {
    image.set(data ?? Buffer.alloc(end - start), start);
  }
  overlay.release();
}

function covers(overlay: Overlay, start: number, end: number): boolean {
  for (let at = start; at < end; at += 1) {
    if (!overlay.layers(1).some((layer) => layer.covers(at, at + 1))) return false;
  }
  return true;
}
