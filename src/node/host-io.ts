/** Host writes and reads in bulk: streams in bounded memory, a few requests in flight. */
import { counted } from '../base/words.ts';
import { RcopyError, fileError } from '../base/errors.ts';
import { MIB } from '../base/limits.ts';
import { submitAndWait } from '../device/device.ts';
import type {
  Device,
  WriteRequest as DeviceWrite,
  ZeroesRequest as DeviceZeroes,
} from '../device/device.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import { volumeIndex } from '../imageset/volumes.ts';
import { ensureEpoch } from '../imageset/succession.ts';
import type { ExportAnswer, ImportAnswer, WriteAnswer } from './answers.ts';
import type { ExportRequest, ImportRequest, ReadRequest, WriteRequest } from './requests.ts';

/** Requests of an import or a stream are of this size. */
const CHUNK_BYTES = 1 * MIB;
/** How many of them are under way at once. */
const CHUNKS_IN_FLIGHT = 8;

interface Target {
  readonly index: number;
  readonly name: string;
  readonly device: Device;
}

function target(set: ImageSet, volume: string | undefined): Target {
  const index = volumeIndex(set.file, volume);
  const device = set.volumes[index];
  const entry = set.file.volumes[index];
  if (!device || !entry) throw new RcopyError('E_INTERNAL', `volume number ${index} has a device`);
  return { index, name: entry.name, device };
}

/** A host write of any length. What was answered stays, also when a later part is refused. */
export async function writeVolume(set: ImageSet, request: WriteRequest): Promise<WriteAnswer> {
  const { name, device } = target(set, request.volume);
  await readyForHosts(set);
  checkRange(name, device, request.offset, request.length ?? 1);
  const writer = new Writer(device, set, request.offset);
  for await (const chunk of request.data) await writer.write(chunk);
  const answer = await writer.finish(request.sync);
  if (answer.length === 0) {
    throw new RcopyError('E_USAGE', 'there is nothing to write', {
      hint: 'give --data, --file, or something on stdin',
    });
  }
  return { volume: name, offset: request.offset, ...answer };
}

/** Refuses what no request would pass, before anything is read from the user. */
async function readyForHosts(set: ImageSet): Promise<void> {
  const refused = set.refusal('write');
  if (refused) throw refused;
  await ensureEpoch(set);
}

/** What a host would read, piece by piece. */
export async function* readVolume(set: ImageSet, request: ReadRequest): AsyncGenerator<Buffer> {
  const { name, device } = target(set, request.volume);
  const refused = set.refusal('read');
  if (refused) throw refused;
  checkRange(name, device, request.offset, request.length);
  const end = request.offset + request.length;
  for (let offset = request.offset; offset < end; offset += CHUNK_BYTES) {
    const length = Math.min(CHUNK_BYTES, end - offset);
    const completion = await submitAndWait(device, { kind: 'read', offset, length });
    if (completion.ok) for (const part of completion.data ?? []) yield asBuffer(part);
  }
}

function checkRange(name: string, device: Device, offset: number, length: number): void {
  if (offset + length <= device.sizeBytes) return;
  throw new RcopyError(
    'E_RANGE',
    `${counted(length, 'byte')} at offset ${offset} leave volume ${name} of ` +
      counted(device.sizeBytes, 'byte'),
  );
}

function asBuffer(part: Uint8Array): Buffer {
  return Buffer.from(part.buffer, part.byteOffset, part.byteLength);
}

/** Brings a raw image in as host writes: data is written, holes and the rest become zeroes. */
export async function importImage(set: ImageSet, request: ImportRequest): Promise<ImportAnswer> {
  const { name, device } = target(set, request.volume);
  await readyForHosts(set);
  const file = openExisting(set, request.file);
  try {
    const size = file.size('IMPORT:SIZE');
    if (size > device.sizeBytes) {
      throw new RcopyError(
        'E_TOO_SMALL',
        `${request.file} has ${size} bytes, volume ${name} only ${device.sizeBytes}`,
      );
    }
    const writer = new Writer(device, set, 0);
    let dataBytes = 0;
    const progress = (doneBytes: number) =>
      request.onProgress?.({ step: 'importing', doneBytes, totalBytes: device.sizeBytes });
    for (let offset = 0; offset < size;) {
      const extent = file.nextExtent(offset, size, 'IMPORT:EXTENT');
      if (extent.data) {
        const length = Math.min(extent.length, CHUNK_BYTES);
        const chunk = Buffer.allocUnsafe(length);
        file.read(chunk, offset, 'IMPORT:READ');
        await writer.write(chunk);
        dataBytes += length;
        offset += length;
      } else {
        await writer.zeroes(extent.length);
        offset += extent.length;
      }
      progress(offset);
    }
    if (size < device.sizeBytes) await writer.zeroes(device.sizeBytes - size);
    progress(device.sizeBytes);
    return { volume: name, offset: 0, ...(await writer.finish(true)), dataBytes };
  } catch (error) {
    throw fileError('importing', request.file, error);
  } finally {
    file.close();
  }
}

function openExisting(set: ImageSet, path: string) {
  const { files } = set.environment;
  const status = files.status(path, 'IMPORT:STATUS');
  if (status?.kind === 'folder') throw new RcopyError('E_USAGE', `${path} is a folder`);
  try {
    return files.open(path, 'read', 'IMPORT:OPEN');
  } catch (error) {
    throw fileError('opening the image', path, error);
  }
}

/** Writes the volume's content into a raw image file, synced; holes stay holes. */
export async function exportImage(set: ImageSet, request: ExportRequest): Promise<ExportAnswer> {
  const { index, name, device } = target(set, request.volume);
  const refused = set.refusal('read');
  if (refused) throw refused;
  const { files } = set.environment;
  try {
    const file = files.open(request.output, 'replace', 'EXPORT:CREATE');
    try {
      file.setSize(device.sizeBytes, 'EXPORT:SIZE');
      let dataBytes = 0;
      for (let offset = 0; offset < device.sizeBytes;) {
        const read = await set.readForPeer(index, offset, device.sizeBytes, CHUNK_BYTES);
        if (read.data) file.write([read.data], offset, 'EXPORT:WRITE');
        dataBytes += read.data?.length ?? 0;
        offset += read.length;
        const totalBytes = device.sizeBytes;
        request.onProgress?.({ step: 'exporting', doneBytes: offset, totalBytes });
      }
      await file.sync('EXPORT:SYNC');
      return { volume: name, length: device.sizeBytes, dataBytes, sequence: set.newest };
    } finally {
      file.close();
    }
  } catch (error) {
    throw fileError('exporting', request.output, error);
  }
}

/** Sends requests one behind the other, a few in flight; keeps the numbers that they took. */
class Writer {
  private readonly device: Device;
  private readonly start: number;
  private readonly before: number;
  private offset: number;
  private last: number;
  private readonly inFlight: Promise<void>[] = [];

  constructor(device: Device, set: ImageSet, offset: number) {
    this.device = device;
    this.start = offset;
    this.offset = offset;
    this.before = set.newest;
    this.last = this.before;
  }

  async write(chunk: Uint8Array): Promise<void> {
    for (let at = 0; at < chunk.length; at += CHUNK_BYTES) {
      const data = chunk.subarray(at, at + CHUNK_BYTES);
      const { offset } = this;
      const { length } = data;
      await this.submit({ kind: 'write', offset, data: [data], length, fua: false });
    }
  }

  async zeroes(length: number): Promise<void> {
    const { offset } = this;
    await this.submit({ kind: 'zeroes', offset, length, fua: false, mayFree: true });
  }

  /** Waits for every answer, and for durability if asked. */
  async finish(
    sync: boolean,
  ): Promise<{ length: number; firstSequence: number; lastSequence: number }> {
    await Promise.all(this.inFlight.splice(0));
    if (sync) await submitAndWait(this.device, { kind: 'flush' });
    return {
      length: this.offset - this.start,
      firstSequence: this.before + 1,
      lastSequence: this.last,
    };
  }

  private async submit(request: DeviceWrite | DeviceZeroes): Promise<void> {
    this.offset += request.length;
    const answered = submitAndWait(this.device, request).then((completion) => {
      if (completion.ok) this.last = Math.max(this.last, completion.sequence ?? 0);
    });
    answered.catch(() => undefined); // awaited below, in order
    this.inFlight.push(answered);
    if (this.inFlight.length >= CHUNKS_IN_FLIGHT) await this.inFlight.shift();
  }
}
