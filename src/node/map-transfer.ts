/** Maps on their way between sets: pages that have any block, as many as one answer takes. */
import * as z from 'zod/mini';
import { RcopyError } from '../base/errors.ts';
import { FRAME_BODY_BYTES_MAX } from '../base/limits.ts';
import { MAP_PAGE_BYTES } from '../format/map.ts';
import type { BlockMap } from '../imageset/block-map.ts';
import type { Answered } from '../link/service.ts';

const whole = z.number().check(z.int(), z.minimum(0));

/** From which page on, in the order of volumes and pages. */
export const mapPlace = z.strictObject({ volume: whole, page: whole });

const pagesAnswer = z.object({
  pages: z.array(mapPlace),
  /** Where to go on; null when these were the last. */
  next: z.nullable(mapPlace),
});

export type MapPlace = z.infer<typeof mapPlace>;
export const FIRST_PLACE: MapPlace = { volume: 0, page: 0 };

/** Half a frame: the list of the pages needs some room beside them. */
const PAGES_MAX = Math.floor(FRAME_BODY_BYTES_MAX / 2 / MAP_PAGE_BYTES);

/** The pages of these maps from a place on. */
export function mapPages(maps: readonly BlockMap[], from: MapPlace): Answered {
  const pages: MapPlace[] = [];
  const parts: Buffer[] = [];
  let next: MapPlace | null = null;
  for (let { volume, page } = from; volume < maps.length; volume += 1, page = 0) {
    const map = maps[volume];
    for (let at = map?.nextPage(page); map && at !== undefined; at = map.nextPage(at + 1)) {
      if (pages.length === PAGES_MAX) {
        next = { volume, page: at };
        break;
      }
      pages.push({ volume, page: at });
      parts.push(map.bytes(at));
    }
    if (next) break;
  }
  return { value: { pages, next }, data: Buffer.concat(parts) };
}

/** Puts the pages of an answer into `maps`; returns where to go on, null when it was the last. */
export function takePages(maps: readonly BlockMap[], { value, data }: Answered): MapPlace | null {
  const parsed = pagesAnswer.safeParse(value);
  if (!parsed.success) throw broken();
  const { pages, next } = parsed.data;
  const bytes = Buffer.from(data ?? []);
  if (bytes.length !== pages.length * MAP_PAGE_BYTES) throw broken();
  for (const [index, { volume, page }] of pages.entries()) {
    const start = index * MAP_PAGE_BYTES;
    const map = maps[volume];
    if (!map) throw broken();
    map.merge(page, bytes.subarray(start, start + MAP_PAGE_BYTES));
  }
  return next;
}

function broken(): RcopyError {
  return new RcopyError('E_PROTOCOL', 'pages of a map came that make no sense');
}
