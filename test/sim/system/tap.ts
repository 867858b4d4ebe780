/**
 * Listens at the border of an image set: what hosts ask of its volumes, whichever way they came,
 * and what they are answered. Nothing is changed on the way.
 */
import { isRcopyError } from '../../../src/base/errors.ts';
import type { Completion, Device, DeviceRequest } from '../../../src/device/device.ts';
import type { ImageSet } from '../../../src/imageset/image-set.ts';
import { Broken } from './broken.ts';
import type { GroupLog } from './group-log.ts';

/** Is told what broke a rule, since whoever answers a host must not be disturbed. */
export type Tell = (error: unknown) => void;

export function tap(set: ImageSet, site: string, log: GroupLog, tell: Tell): void {
  const volumes = set.volumes as Device[];
  for (const [index, device] of volumes.entries()) {
    volumes[index] = tapped(device, { set, site, log, tell, volume: index });
  }
  const mark = set.hosts.mark.bind(set.hosts);
  set.hosts.mark = (payload) => {
    const before = set.newest;
    const marked = mark(payload);
    // It is in the journal before anything else can be, or not at all.
    if (set.newest > before) attempt(tell, () => log.mark(site, set.newest, set.file.epoch));
    return marked;
  };
}

interface Tapped {
  readonly set: ImageSet;
  readonly site: string;
  readonly log: GroupLog;
  readonly tell: Tell;
  readonly volume: number;
}

function tapped(device: Device, parts: Tapped): Device {
  return {
    sizeBytes: device.sizeBytes,
    get readOnly() {
      return device.readOnly;
    },
    nextExtent: (offset, end) => device.nextExtent(offset, end),
    submit(request, done) {
      const { set, site, tell } = parts;
      const seen = watch(request, parts);
      const isOver = set.file.seal !== null || set.file.role === 'retired';
      device.submit(request, (completion) => {
        attempt(tell, () => seen(completion));
        if (isOver && completion.ok) tell(new Broken('R4', `${site} is sealed and answers hosts`));
        done(completion);
      });
    },
  };
}

/** What is to be noted when the answer comes. */
function watch(request: DeviceRequest, parts: Tapped): (completion: Completion) => void {
  const { set, site, log, volume } = parts;
  if (request.kind === 'read') return () => undefined;
  if (request.kind === 'flush') {
    const durable = log.newestAnswered;
    return ({ ok }) => {
      if (ok) log.flushed = Math.max(log.flushed, durable);
    };
  }
  const { kind, offset, length, fua } = request;
  const data = kind === 'write' ? Buffer.concat(request.data) : undefined;
  const { recordPayloadBytesMax } = set.journal.sizes;
  const records = data ? Math.ceil(length / recordPayloadBytesMax) : 1;
  const asked = log.ask(site, set.file.epoch, { kind, volume, offset, length, data, records });
  return (completion) => {
    if (completion.ok) {
      const sequence = completion.sequence ?? 0;
      log.answer(asked, sequence, set.file.epoch);
      if (fua) log.flushed = Math.max(log.flushed, sequence);
    } else if (isRefusal(completion.error)) log.refuse(asked, set.newest);
  };
}

/** What took no number; of what failed in the journal nobody knows before the next opening. */
function isRefusal(error: Error): boolean {
  if (!isRcopyError(error)) return false;
  return !['E_IO', 'E_NO_SPACE', 'E_STOPPED', 'E_DAMAGED'].includes(error.code);
}

function attempt(tell: Tell, action: () => void): void {
  try {
    action();
  } catch (error) {
    tell(error);
  }
}
