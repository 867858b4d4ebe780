// Bytes on their way into and out of a volume: bounded, at the reader's pace, nothing lost.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable, Writable } from 'node:stream';
import { afterAll, describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { MIB } from '../../src/base/limits.ts';
import { bytesOfFile, bytesOfInput, bytesOfText } from '../../src/cli/bytes-in.ts';
import type { BytesIn, InputStream } from '../../src/cli/bytes-in.ts';
import { writeToFile, writeToStream } from '../../src/cli/bytes-out.ts';
import { nodeFiles } from '../../src/sys/node-files.ts';

const folder = mkdtempSync(join(tmpdir(), 'rcopy-bytes-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string): string => join(folder, name);

async function gather({ data }: BytesIn): Promise<Buffer[]> {
  const parts: Buffer[] = [];
  for await (const part of data) parts.push(Buffer.from(part));
  return parts;
}

async function* generated(...parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield await Promise.resolve(part);
}

describe('in', () => {
  test('a text is its UTF-8 bytes', async () => {
    const bytes = bytesOfText('é\n');
    expect(bytes.length).toBe(3);
    expect(Buffer.concat(await gather(bytes)).toString('utf8')).toBe('é\n');
    expect(bytesOfText('').length).toBe(0);
  });

  test.each([0, 1, MIB, 2 * MIB, 2 * MIB + 7])('a file of %d bytes', async (length) => {
    const content = Buffer.alloc(length, 'content');
    writeFileSync(at('file'), content);
    const bytes = bytesOfFile(nodeFiles, at('file'));
    expect(bytes.length).toBe(length);
    expect(Buffer.concat(await gather(bytes)).equals(content)).toBe(true);
  });

  test('what is no file is refused', () => {
    expect(() => bytesOfFile(nodeFiles, at('none'))).toThrow(
      expect.objectContaining({ code: 'E_NOT_FOUND' }),
    );
    expect(() => bytesOfFile(nodeFiles, folder)).toThrow(
      expect.objectContaining({ code: 'E_USAGE' }),
    );
  });

  test('a keyboard is refused', () => {
    const keyboard = Object.assign(Readable.from([]), { isTTY: true });
    expect(() => bytesOfInput(keyboard)).toThrow(expect.objectContaining({ code: 'E_USAGE' }));
  });

  test('a pipe comes in whole, in pieces of whole mebibytes but the last', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat({ max: 600_000 }), { maxLength: 12 }), async (lengths) => {
        const pieces = lengths.map((length, index) => Buffer.alloc(length, `${index}-piece`));
        const input = Readable.from(pieces) as InputStream;
        const parts = await gather(bytesOfInput(input));
        expect(Buffer.concat(parts).equals(Buffer.concat(pieces))).toBe(true);
        for (const part of parts.slice(0, -1)) expect(part.length % MIB).toBe(0);
        for (const part of parts) expect(part.length).toBeGreaterThan(0);
      }),
      { numRuns: 30 },
    );
  });
});

describe('out to a stream', () => {
  test('goes at the pace of its reader', async () => {
    let taken = 0;
    let made = 0;
    let ahead = 0;
    const slow = new Writable({
      highWaterMark: 10,
      write: (chunk: Buffer, _encoding, done) => {
        taken += chunk.length;
        queueMicrotask(done);
      },
    });
    async function* counted(): AsyncGenerator<Uint8Array> {
      for (let index = 0; index < 100; index++) {
        made += 10;
        ahead = Math.max(ahead, made - taken);
        yield await Promise.resolve(Buffer.alloc(10));
      }
    }
    await writeToStream(counted(), slow);
    expect(taken).toBe(1000);
    expect(ahead).toBeLessThanOrEqual(20);
  });

  test('ends quietly when the reader has gone, and reads no further', async () => {
    let read = 0;
    const gone = new Writable({
      highWaterMark: 10,
      write: (_chunk, _encoding, done) => {
        done(Object.assign(new Error('broken pipe'), { code: 'EPIPE' }));
      },
    });
    let ended = false;
    gone.on('error', () => {
      ended = true;
    });
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) {
        read += 1;
        yield await Promise.resolve(Buffer.alloc(10));
      }
    }
    await writeToStream(endless(), gone);
    expect(read).toBeLessThan(5);
    // Those who would have ended the process at a closed pipe were not asked.
    expect(ended).toBe(false);
  });

  test('tells of any other failure, and gives the stream back to who listened', async () => {
    const broken = new Writable({
      write: (_chunk, _encoding, done) => {
        done(Object.assign(new Error('disk full'), { code: 'ENOSPC' }));
      },
    });
    await expect(writeToStream(generated(Buffer.alloc(1)), broken)).rejects.toMatchObject({
      code: 'E_NO_SPACE',
      message: 'writing: no space left for stdout',
    });
    const fine = new PassThrough();
    const listener = (): void => undefined;
    fine.on('error', listener);
    fine.resume();
    await writeToStream(generated(Buffer.from('x')), fine);
    expect(fine.listeners('error')).toEqual([listener]);
  });
});

describe('out to a file', () => {
  test('replaces what is there', async () => {
    writeFileSync(at('out'), 'something longer than that');
    const parts = [Buffer.from('ab'), Buffer.from('cde')];
    expect(await writeToFile(generated(...parts), nodeFiles, at('out'))).toBe(5);
    expect(readFileSync(at('out'), 'utf8')).toBe('abcde');
    expect(await writeToFile(generated(), nodeFiles, at('out'))).toBe(0);
    expect(readFileSync(at('out'), 'utf8')).toBe('');
  });

  test('leaves the file alone when there is nothing to be read', async () => {
    writeFileSync(at('kept'), 'kept');
    async function* refused(): AsyncGenerator<Uint8Array> {
      yield await Promise.reject(new Error('no such volume'));
    }
    await expect(writeToFile(refused(), nodeFiles, at('kept'))).rejects.toThrow('no such volume');
    expect(readFileSync(at('kept'), 'utf8')).toBe('kept');
  });

  test('a device is no trouble, a missing folder is E_NOT_FOUND', async () => {
    expect(await writeToFile(generated(Buffer.alloc(9)), nodeFiles, '/dev/null')).toBe(9);
    await expect(
      writeToFile(generated(Buffer.alloc(9)), nodeFiles, at('none/out')),
    ).rejects.toMatchObject({ code: 'E_NOT_FOUND' });
  });
});
