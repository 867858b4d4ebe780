/** The volumes of a set: by name, and as the block devices that hosts see. */
import { RcopyError } from '../base/errors.ts';
import type { Device } from '../device/device.ts';
import type { SetFile } from '../format/set-file.ts';
import type { Contents } from './contents.ts';
import type { HostPort } from './host-port.ts';

/** Index of a volume by name; with one volume the name may be left out. Throws `E_NOT_FOUND`. */
export function volumeIndex(file: SetFile, name: string | undefined): number {
  const names = file.volumes.map((volume) => volume.name).join(', ');
  if (name === undefined) {
    if (file.volumes.length === 1) return 0;
    throw new RcopyError('E_USAGE', `${file.name} has several volumes: ${names}`, {
      hint: 'name one with --volume',
    });
  }
  const index = file.volumes.findIndex((volume) => volume.name === name);
  if (index >= 0) return index;
  throw new RcopyError('E_NOT_FOUND', `${file.name} has no volume ${name}`, {
    hint: `it has: ${names}`,
  });
}

/** What a volume's device needs of its set. */
export interface VolumeOwner {
  readonly file: SetFile;
  readonly contents: Contents;
  readonly hosts: HostPort;
  /** Why hosts are refused now, if they are. */
  refusal(kind: 'read' | 'write'): RcopyError | undefined;
}

/** The block device of volume number `index`. */
export function volumeDevice(set: VolumeOwner, index: number): Device {
  return {
    sizeBytes: set.contents.image(index).sizeBytes,
    get readOnly() {
      return set.file.role !== 'primary';
    },
    submit: (request, done) => set.hosts.submit(index, request, done),
    nextExtent: (offset, end) => {
      // Where data is, is told to those only who may read it (R4).
      const refusal = set.refusal('read');
      if (refusal) throw refusal;
      return set.contents.nextExtent(index, offset, end);
    },
  };
}
