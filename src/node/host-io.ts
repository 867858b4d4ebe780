/** Host writes and reads in bulk: streams in bounded memory, a few requests in flight. */
import { counted } from '../base/words.ts';
import { RcopyError } from '../base/errors.ts';
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
  const { sizeBytes, pieces } = request;
  const totalBytes = device.sizeBytes;
  if (sizeBytes > totalBytes) {
    throw new RcopyError(
      'E_TOO_SMALL',
      `the image has ${sizeBytes} bytes, volume ${name} only ${totalBytes}`,
    );
  }
  const writer = new Writer(device, set, 0);
  let doneBytes = 0;
  let dataBytes = 0;
  for await (const { length, data } of pieces) {
    if (doneBytes + length > sizeBytes) break;
    if (data) await writer.write(data);
    else await writer.zeroes(length);
    doneBytes += length;
    dataBytes += data?.length ?? 0;
    request.onProgress?.({ step: 'importing', doneBytes, totalBytes });
  }
  if (doneBytes !== sizeBytes) {
    throw new RcopyError('E_IO', `the image is not the ${sizeBytes} bytes long that it was`, {
      hint: 'something changes it: import it again when nobody does',
    });
  }
  if (sizeBytes < totalBytes) await writer.zeroes(totalBytes - sizeBytes);
  request.onProgress?.({ step: 'importing', doneBytes: totalBytes, totalBytes });
  return { volume: name, offset: 0, ...(await writer.finish(true)), dataBytes };
}

/** Gives out the volume's content, piece by piece; holes stay holes. */
export async function exportImage(set: ImageSet, request: ExportRequest): Promise<ExportAnswer> {
  const { index, name, device } = target(set, request.volume);
  const refused = set.refusal('read');
  if (refused) throw refused;
  const totalBytes = device.sizeBytes;
  request.begin(totalBytes);
  let dataBytes = 0;
  for (let offset = 0; offset < totalBytes;) {
    const { length, data } = await set.readForPeer(index, offset, totalBytes, CHUNK_BYTES);
    await request.take({ length, data });
    dataBytes += data?.length ?? 0;
    offset += length;
    request.onProgress?.({ step: 'exporting', doneBytes: offset, totalBytes });
  }
  return { volume: name, length: totalBytes, dataBytes, sequence: set.newest };
}

/** Sends requests one behind the other, a few in flight; keeps the numbers that they took. */
class Writer {
  private readonly device: Device;
  private readonly start: number;
  private readonly recordBytesMax: number;
  private offset: number;
  private first = Number.POSITIVE_INFINITY;
  private last = 0;
  private readonly inFlight: Promise<void>[] = [];

  constructor(device: Device, set: ImageSet, offset: number) {
    this.device = device;
    this.start = offset;
    this.offset = offset;
    this.recordBytesMax = set.journal.sizes.recordPayloadBytesMax;
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
      firstSequence: Math.min(this.first, this.last),
      lastSequence: this.last,
    };
  }

  private async submit(request: DeviceWrite | DeviceZeroes): Promise<void> {
    this.offset += request.length;
    const answered = submitAndWait(this.device, request).then((completion) => {
      if (!completion.ok || completion.sequence === undefined) return;
      // Other hosts may have numbers in between: it is those of its own requests that count.
      const records = request.kind === 'write' ? request.length / this.recordBytesMax : 1;
      this.first = Math.min(this.first, completion.sequence - Math.ceil(records) + 1);
      this.last = Math.max(this.last, completion.sequence);
    });
    answered.catch(() => undefined); // awaited below, in order
    this.inFlight.push(answered);
    if (this.inFlight.length >= CHUNKS_IN_FLIGHT) await this.inFlight.shift();
  }
}
