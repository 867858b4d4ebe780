/** What every {@link FileSystem} must do; run on the real one and on the simulated one. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { FileHandle, FileSystem, OpenMode } from '../../src/sys/files.ts';

/** A file system under test, with an empty folder to work in. */
export interface FilesUnderTest {
  readonly files: FileSystem;
  readonly folder: string;
  /** Frees what the test used. */
  dispose(): void;
}

const LABEL = 'TEST:FILES';

let subject: FilesUnderTest;
let handles: FileHandle[];

function at(name: string): string {
  return `${subject.folder}/${name}`;
}

function open(name: string, mode: OpenMode): FileHandle {
  const handle = subject.files.open(at(name), mode, LABEL);
  handles.push(handle);
  return handle;
}

function put(name: string, text: string): void {
  const handle = open(name, 'replace');
  handle.write([Buffer.from(text)], 0, LABEL);
  handle.close();
}

function readAll(handle: FileHandle): Buffer {
  const target = Buffer.alloc(handle.size(LABEL));
  expect(handle.read(target, 0, LABEL)).toBe(target.length);
  return target;
}

function get(name: string): string {
  return readAll(open(name, 'read')).toString();
}

function code(value: string): unknown {
  return expect.objectContaining({ code: value });
}

export function describeFiles(name: string, prepare: () => FilesUnderTest): void {
  describe(`files of ${name}`, () => {
    beforeEach(() => {
      subject = prepare();
      handles = [];
    });
    afterEach(() => {
      for (const handle of handles) handle.close();
      subject.dispose();
    });
    describe('open', () => {
      describeOpen();
    });
    describe('read and write', () => {
      describeReadAndWrite();
    });
    describe('many ranges', () => {
      describeRanges();
    });
    describe('zero, holes and size', () => {
      describeZero();
    });
    describe('folders', () => {
      describeFolders();
    });
    describe('rename and remove', () => {
      describeRenameAndRemove();
    });
    describe('sync and close', () => {
      describeSyncAndClose();
    });
    describe('locks', () => {
      describeLocks();
    });
  });
}

function describeOpen(): void {
  test.each(['read', 'write'] as const)('%s wants a file that is there', (mode) => {
    expect(() => open('a', mode)).toThrow(code('ENOENT'));
    put('a', 'text');
    expect(readAll(open('a', mode)).toString()).toBe('text');
  });

  test('create makes a new file, and refuses one that is there', () => {
    expect(open('a', 'create').size(LABEL)).toBe(0);
    expect(() => open('a', 'create')).toThrow(code('EEXIST'));
  });

  test('replace cuts what is there to nothing', () => {
    put('a', 'text');
    expect(open('a', 'replace').size(LABEL)).toBe(0);
    expect(get('a')).toBe('');
  });

  test('the folder must be there, and must be one', () => {
    expect(() => open('no/a', 'create')).toThrow(code('ENOENT'));
    put('a', 'text');
    expect(() => open('a/b', 'create')).toThrow(code('ENOTDIR'));
    expect(() => subject.files.open(subject.folder, 'write', LABEL)).toThrow(code('EISDIR'));
  });

  test('what is opened to read cannot be written', () => {
    put('a', 'text');
    const handle = open('a', 'read');
    expect(() => handle.write([Buffer.from('x')], 0, LABEL)).toThrow(code('EBADF'));
    expect(handle.path).toBe(at('a'));
  });
}

function describeReadAndWrite(): void {
  test('parts follow one another, empty ones too, at the position', () => {
    const handle = open('a', 'create');
    handle.write(
      ['ab', '', 'c', 'def'].map((part) => Buffer.from(part)),
      3,
      LABEL,
    );
    handle.write([], 1, LABEL);
    expect(readAll(handle)).toEqual(Buffer.from('\0\0\0abcdef'));
  });

  test('thousands of parts, of odd lengths', () => {
    const parts = Array.from({ length: 5000 }, (_, index) => Buffer.alloc(index % 7, index));
    const handle = open('a', 'create');
    handle.write(parts, 1000, LABEL);
    expect(readAll(handle).subarray(1000).equals(Buffer.concat(parts))).toBe(true);
  });

  test('a read ends at the end of the file', () => {
    put('a', '0123456789');
    const handle = open('a', 'read');
    const target = Buffer.alloc(4, 'x');
    expect(handle.read(target, 8, LABEL)).toBe(2);
    expect(target.toString()).toBe('89xx');
    expect(handle.read(target, 10, LABEL)).toBe(0);
    expect(handle.read(target, 1000, LABEL)).toBe(0);
  });

  test('what one handle wrote, another one reads', () => {
    put('a', 'old');
    const reader = open('a', 'read');
    open('a', 'write').write([Buffer.from('new')], 0, LABEL);
    expect(readAll(reader).toString()).toBe('new');
  });

  test('the caller may change its buffer after a write', () => {
    const handle = open('a', 'create');
    const part = Buffer.from('mine');
    handle.write([part], 0, LABEL);
    part.fill('x');
    expect(readAll(handle).toString()).toBe('mine');
  });
}

function describeRanges(): void {
  /** Ranges that do not overlap, in no order, some of several parts; and what they make. */
  function ranges(count: number, bytesEach: number) {
    const expected = Buffer.alloc(count * 2 * bytesEach, 0xee);
    const list = Array.from({ length: count }, (_, index) => {
      const position = ((index * 7) % count) * 2 * bytesEach + (index % 3);
      const bytes = Buffer.alloc(bytesEach, index + 1);
      expected.set(bytes, position);
      return { position, parts: [bytes.subarray(0, index % 5), bytes.subarray(index % 5)] };
    });
    return { list, expected };
  }

  test.each([
    ['few small ones', 3, 100],
    ['none', 0, 100],
    ['many', 1000, 4096],
    ['large ones', 4, 1_500_000],
  ])('%s are in the file when it resolves', async (_what, count, bytesEach) => {
    const { list, expected } = ranges(count, bytesEach);
    const handle = open('a', 'create');
    handle.write([Buffer.alloc(expected.length, 0xee)], 0, LABEL);
    await handle.writeRanges(list, LABEL);
    expect(readAll(handle).equals(expected)).toBe(true);
    await handle.sync(LABEL);
  });

  test('several batches at once, in several files', async () => {
    const batches = ['a', 'b', 'c'].map((name) => ({ name, made: ranges(300, 4096) }));
    await Promise.all(
      batches.map(async ({ name, made: { list, expected } }) => {
        const handle = open(name, 'create');
        handle.write([Buffer.alloc(expected.length, 0xee)], 0, LABEL);
        await handle.writeRanges(list, LABEL);
        expect(readAll(handle).equals(expected)).toBe(true);
      }),
    );
  });

  test('a close in between does not call it off', async () => {
    const { list, expected } = ranges(300, 4096);
    const handle = open('a', 'create');
    handle.write([Buffer.alloc(expected.length, 0xee)], 0, LABEL);
    const written = handle.writeRanges(list, LABEL);
    handle.close();
    await written;
    expect(readAll(open('a', 'read')).equals(expected)).toBe(true);
    await expect(handle.writeRanges(list, LABEL)).rejects.toEqual(code('EBADF'));
  });

  test.each([1, 1000])('%i where nothing can be written', async (count) => {
    put('a', 'text');
    const handle = open('a', 'read');
    await expect(handle.writeRanges(ranges(count, 4096).list, LABEL)).rejects.toEqual(
      code('EBADF'),
    );
  });
}

function describeZero(): void {
  test.each([true, false])('zero clears exactly its range (kept allocated: %s)', (keep) => {
    const handle = open('a', 'create');
    const expected = Buffer.alloc(100_000, 7);
    handle.write([expected], 0, LABEL);
    handle.zero(1000, 70_001, keep, LABEL);
    handle.zero(5, 0, keep, LABEL);
    expect(readAll(handle).equals(expected.fill(0, 1000, 71_001))).toBe(true);
  });

  test.each([true, false])('zero never goes beyond the end (kept allocated: %s)', (keep) => {
    put('a', 'text');
    const handle = open('a', 'write');
    expect(() => handle.zero(2, 3, keep, LABEL)).toThrow(code('EINVAL'));
    expect(readAll(handle).toString()).toBe('text');
  });

  test('a file of 1 TiB costs what was written to it, and its holes are found', () => {
    const handle = open('a', 'create');
    const tib = 2 ** 40;
    handle.setSize(tib, LABEL);
    handle.write([Buffer.alloc(1 << 20, 1)], tib / 2, LABEL);
    expect(extents(handle, tib / 2 - (1 << 20), tib / 2 + (3 << 20))).toEqual([
      { offset: tib / 2 - (1 << 20), length: 1 << 20, data: false },
      { offset: tib / 2, length: 1 << 20, data: true },
      { offset: tib / 2 + (1 << 20), length: 2 << 20, data: false },
    ]);
  });

  test('what was zeroed and freed becomes a hole', () => {
    const handle = open('a', 'create');
    handle.write([Buffer.alloc(1 << 20, 1)], 0, LABEL);
    handle.zero(1 << 18, 1 << 18, false, LABEL);
    expect(extents(handle, 0, 1 << 20)).toEqual([
      { offset: 0, length: 1 << 18, data: true },
      { offset: 1 << 18, length: 1 << 18, data: false },
      { offset: 1 << 19, length: 1 << 19, data: true },
    ]);
  });

  test('setSize cuts and extends; what comes back is zeroes', () => {
    put('a', '0123456789');
    const handle = open('a', 'write');
    handle.setSize(4, LABEL);
    handle.setSize(8, LABEL);
    expect(readAll(handle)).toEqual(Buffer.from('0123\0\0\0\0'));
    expect(subject.files.status(at('a'), LABEL)?.sizeBytes).toBe(8);
  });
}

/** All stretches of a range; neighbours of one kind joined, since an answer may be short. */
function extents(handle: FileHandle, from: number, end: number) {
  const joined: { offset: number; length: number; data: boolean }[] = [];
  for (let offset = from; offset < end;) {
    const extent = handle.nextExtent(offset, end, LABEL);
    expect(extent.offset).toBe(offset);
    expect(extent.length).toBeGreaterThan(0);
    const last = joined.at(-1);
    if (last?.data === extent.data) last.length += extent.length;
    else joined.push({ ...extent });
    offset += extent.length;
  }
  return joined;
}

function describeFolders(): void {
  test('makeFolder makes parents, and does not mind what is there', () => {
    subject.files.makeFolder(at('a/b/c'), LABEL);
    subject.files.makeFolder(at('a/b'), LABEL);
    expect(subject.files.status(at('a/b/c'), LABEL)?.kind).toBe('folder');
    put('file', '');
    expect(() => subject.files.makeFolder(at('file'), LABEL)).toThrow(code('EEXIST'));
  });

  test('list is sorted', () => {
    for (const name of ['b', 'a', 'B', '10', '9']) put(name, '');
    subject.files.makeFolder(at('c'), LABEL);
    expect(subject.files.list(subject.folder, LABEL)).toEqual(['10', '9', 'B', 'a', 'b', 'c']);
    expect(() => subject.files.list(at('no'), LABEL)).toThrow(code('ENOENT'));
    expect(() => subject.files.list(at('a'), LABEL)).toThrow(code('ENOTDIR'));
  });

  test('status tells kind, size and identity, or that there is nothing', () => {
    const { files } = subject;
    put('a', 'text');
    put('b', 'text');
    const status = files.status(at('a'), LABEL);
    expect(status).toEqual({ kind: 'file', sizeBytes: 4, inode: expect.any(String) });
    expect(files.status(at('b'), LABEL)?.inode).not.toBe(status?.inode);
    expect(files.status(at('no'), LABEL)).toBeUndefined();
    expect(files.status(at('no/no'), LABEL)).toBeUndefined();
    expect(files.status(at('a/no'), LABEL)).toBeUndefined();
    files.rename(at('a'), at('c'), LABEL);
    expect(files.status(at('c'), LABEL)?.inode).toBe(status?.inode);
  });

  test('resolve gives an absolute path', () => {
    expect(subject.files.resolve(at('x/../y'))).toBe(at('y'));
    expect(subject.files.resolve('y')).toMatch(/^\/(.*\/)?y$/);
  });
}

function describeRenameAndRemove(): void {
  test('rename replaces what is there; open handles stay with their file', () => {
    put('a', 'new');
    put('b', 'old');
    const old = open('b', 'read');
    subject.files.rename(at('a'), at('b'), LABEL);
    expect(get('b')).toBe('new');
    expect(readAll(old).toString()).toBe('old');
    expect(subject.files.list(subject.folder, LABEL)).toEqual(['b']);
  });

  test('rename moves folders with all in them', () => {
    subject.files.makeFolder(at('a/x'), LABEL);
    subject.files.makeFolder(at('b'), LABEL);
    put('a/x/file', 'text');
    subject.files.rename(at('a'), at('b/moved'), LABEL);
    expect(get('b/moved/x/file')).toBe('text');
    expect(subject.files.status(at('a'), LABEL)).toBeUndefined();
  });

  test('rename refuses what POSIX refuses', () => {
    const { files } = subject;
    files.makeFolder(at('folder/full'), LABEL);
    files.makeFolder(at('other'), LABEL);
    put('file', '');
    expect(() => files.rename(at('no'), at('x'), LABEL)).toThrow(code('ENOENT'));
    expect(() => files.rename(at('file'), at('no/x'), LABEL)).toThrow(code('ENOENT'));
    expect(() => files.rename(at('file'), at('folder'), LABEL)).toThrow(code('EISDIR'));
    expect(() => files.rename(at('folder'), at('file'), LABEL)).toThrow(code('ENOTDIR'));
    expect(() => files.rename(at('other'), at('folder'), LABEL)).toThrow(code('ENOTEMPTY'));
    expect(() => files.rename(at('folder'), at('folder/full/x'), LABEL)).toThrow(code('EINVAL'));
  });

  test('remove takes a file, or a folder with all in it, or nothing', () => {
    const { files } = subject;
    files.makeFolder(at('a/b'), LABEL);
    put('a/b/file', 'text');
    put('file', 'text');
    const handle = open('file', 'read');
    files.remove(at('a'), LABEL);
    files.remove(at('file'), LABEL);
    files.remove(at('file'), LABEL);
    expect(files.list(subject.folder, LABEL)).toEqual([]);
    expect(readAll(handle).toString()).toBe('text');
  });
}

function describeSyncAndClose(): void {
  test('a sync resolves, with writes before, during and after it', async () => {
    const handle = open('a', 'create');
    handle.write([Buffer.from('one')], 0, LABEL);
    const syncs = [handle.sync(LABEL), handle.sync(LABEL)];
    handle.write([Buffer.from('two')], 0, LABEL);
    await Promise.all(syncs);
    await subject.files.syncFolder(subject.folder, LABEL);
    expect(get('a')).toBe('two');
  });

  test('syncFolder wants a folder', async () => {
    put('a', '');
    await expect(subject.files.syncFolder(at('no'), LABEL)).rejects.toEqual(code('ENOENT'));
    await expect(subject.files.syncFolder(at('a'), LABEL)).rejects.toEqual(code('ENOTDIR'));
  });

  test('close may come twice, and during a sync; afterwards nothing works', async () => {
    const handle = open('a', 'create');
    const sync = handle.sync(LABEL);
    handle.close();
    handle.close();
    await sync;
    expect(() => handle.write([Buffer.from('x')], 0, LABEL)).toThrow(code('EBADF'));
    expect(() => handle.read(Buffer.alloc(1), 0, LABEL)).toThrow(code('EBADF'));
    expect(() => handle.size(LABEL)).toThrow(code('EBADF'));
    await expect(handle.sync(LABEL)).rejects.toEqual(code('EBADF'));
  });
}

function describeLocks(): void {
  test('a lock excludes this process too, until it is released', () => {
    const { files } = subject;
    const first = files.tryLock(at('lock'), LABEL);
    expect(first).toBeDefined();
    expect(files.status(at('lock'), LABEL)?.kind).toBe('file');
    expect(files.tryLock(at('lock'), LABEL)).toBeUndefined();
    expect(files.tryLock(at('other'), LABEL)).toBeDefined();
    first?.release();
    const second = files.tryLock(at('lock'), LABEL);
    expect(second).toBeDefined();
    // An old holder's second release is not the new holder's.
    first?.release();
    expect(files.tryLock(at('lock'), LABEL)).toBeUndefined();
    second?.release();
  });

  test('a locked file can be read and written', () => {
    put('lock', 'old');
    const lock = subject.files.tryLock(at('lock'), LABEL);
    open('lock', 'write').write([Buffer.from('new')], 0, LABEL);
    lock?.release();
    expect(get('lock')).toBe('new');
  });
}
