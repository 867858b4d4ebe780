/**
 * The volumes of a set as a path controller gets them: whatever the set's role is now, so that it
 * can be connected before a switch. Nothing that comes behind the generation fence is taken.
 */
import { RcopyError } from '../base/errors.ts';
import type { Device, DeviceRequest, Done } from '../device/device.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import type { NbdExport, NbdExports } from '../nbd/exports.ts';

export interface AttachedStream {
  /** Whether no newer stream of the same controller has come. */
  isCurrent(): boolean;
  /** Told of each change before the set gets it; gives what the set is to answer. */
  submitted(done: Done): Done;
}

export function attachedExports(set: ImageSet, stream: AttachedStream): NbdExports {
  const list = (): NbdExport[] =>
    set.file.volumes.flatMap(({ name }, index) => {
      const device = set.volumes[index];
      return device ? [{ name, description: '', device: fenced(device, stream) }] : [];
    });
  return { list, find: (name) => list().find((each) => each.name === name) };
}

function fenced(device: Device, stream: AttachedStream): Device {
  return {
    sizeBytes: device.sizeBytes,
    readOnly: false,
    nextExtent: (offset, end) => device.nextExtent(offset, end),
    submit(request: DeviceRequest, done: Done): void {
      if (!stream.isCurrent()) {
        done({ ok: false, error: new RcopyError('E_STOPPED', 'a newer stream has come') });
        return;
      }
      const changes = request.kind === 'write' || request.kind === 'zeroes';
      device.submit(request, changes ? stream.submitted(done) : done);
    },
  };
}

/** A volume for a host that no controller leads here: it waits for what controllers lost. */
export function hostDevice(device: Device, gate: HostGate): Device {
  return {
    sizeBytes: device.sizeBytes,
    get readOnly() {
      return device.readOnly;
    },
    nextExtent: (offset, end) => device.nextExtent(offset, end),
    submit(request: DeviceRequest, done: Done): void {
      if (!gate.isGathering) {
        device.submit(request, done);
        return;
      }
      gate.opened().then(
        () => device.submit(request, done),
        (error: Error) => done({ ok: false, error }),
      );
    },
  };
}

/** What hosts may have to wait for. */
export interface HostGate {
  readonly isGathering: boolean;
  opened(): Promise<void>;
}
