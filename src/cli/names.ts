/** Names of volumes and marks as typed, and the `NAME=SIZE` of new volumes. */
import { RcopyError } from '../base/errors.ts';
import { NAME_PATTERN } from '../base/limits.ts';
import { parseSize } from '../base/sizes.ts';

/** A volume that is to be made. */
export interface VolumeSpec {
  readonly name: string;
  readonly sizeBytes: number;
}

/** `text` when it can be a name. Throws `E_USAGE`. */
export function parseName(text: string): string {
  if (NAME_PATTERN.test(text)) return text;
  throw usage(
    `'${text}' is not a name: up to 64 letters, digits, '.', '_' and '-', ` +
      'beginning with a letter or digit',
  );
}

/** The volume that `db=10G` describes. Throws `E_USAGE`. */
export function parseVolumeSpec(text: string): VolumeSpec {
  const at = text.indexOf('=');
  if (at < 0) throw usage(`'${text}' has no size: write NAME=SIZE, such as db=10G`);
  const name = parseName(text.slice(0, at));
  const sizeBytes = parseSize(text.slice(at + 1));
  if (sizeBytes === 0) throw usage(`volume ${name} would have no bytes`);
  return { name, sizeBytes };
}

/** `specs`, each name once. Throws `E_USAGE`. */
export function distinctVolumes(specs: readonly VolumeSpec[]): VolumeSpec[] {
  const names = new Set<string>();
  for (const { name } of specs) {
    if (names.has(name)) throw usage(`volume ${name} is named twice`);
    names.add(name);
  }
  return [...specs];
}

function usage(message: string): RcopyError {
  return new RcopyError('E_USAGE', message);
}
