/** Whether images hold bytes that they may not hold yet: the eye of rule R3. */

const SECTOR_BYTES = 512;

/**
 * The first byte of `images` that stands in none of `states` at its place, in words; undefined when
 * each byte comes from one of them.
 */
export function strayByte(
  images: readonly Buffer[],
  states: readonly (readonly Buffer[])[],
): string | undefined {
  for (const [volume, image] of images.entries()) {
    for (let start = 0; start < image.length; start += SECTOR_BYTES) {
      const end = Math.min(image.length, start + SECTOR_BYTES);
      const sector = image.subarray(start, end);
      const known = states.findLast((state) => state[volume]?.subarray(start, end).equals(sector));
      if (known) continue;
      for (let at = start; at < end; at += 1) {
        if (states.some((state) => state[volume]?.[at] === image[at])) continue;
        return `byte ${at} of volume ${volume} is ${image[at]}, which no durable request wrote`;
      }
    }
  }
  return undefined;
}
