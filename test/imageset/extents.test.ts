/** The two layers above the images; what they hold is in extents.properties.test.ts. */
import { describe, expect, test } from '@jest/globals';
import { Overlay } from '../../src/imageset/overlay.ts';
import { pattern } from '../support/image-sets.ts';

describe('the overlay', () => {
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
