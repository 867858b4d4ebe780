/** What the demo says of the ways to migrate. */
import type { MigrationCopy, MigrationMode } from '../../node/answers.ts';
import { counted, formatSize } from '../../base/sizes.ts';

/** How the secondary got the numbers that the old primary had not sent. */
export function owedText(mode: MigrationMode, numbers: number): string {
  if (numbers === 0) return 'tokyo owed kyoto nothing at the switch';
  const owed = counted(numbers, 'number');
  switch (mode) {
    case 'drain':
      return `tokyo sent kyoto the ${owed} that it still owed, while osaka sent its own`;
    case 'handoff':
      return `tokyo handed osaka the ${owed} that it still owed, and osaka sent kyoto all`;
    case 'bitmap':
      return `osaka sent kyoto the blocks of the ${owed} that tokyo still owed`;
  }
}

/** When the contents came over. */
export function copiedText(copy: MigrationCopy, bytes: number): string {
  const size = formatSize(bytes);
  return copy === 'pre'
    ? `osaka fetched ${size} from tokyo, most of it before the switch`
    : `osaka fetched ${size} from tokyo behind the host`;
}
