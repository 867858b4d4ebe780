/** What inspecting a set reads of it, piece by piece, whatever the state of the other pieces. */
import { join } from 'node:path';
import { isRcopyError, messageOf } from '../base/errors.ts';
import { findingText } from '../base/finding.ts';
import type { Cursors } from '../format/cursors.ts';
import { SEGMENT_HEADER_BYTES, decodeSegmentHeader, parseSegmentName } from '../format/segment.ts';
import type { SegmentHeader } from '../format/segment.ts';
import type { SetFile } from '../format/set-file.ts';
import { readCursors } from '../imageset/cursors-store.ts';
import { setPaths } from '../imageset/set-folder.ts';
import { readSetFile } from '../imageset/set-file-store.ts';
import type { FileHandle, FileSystem } from '../sys/files.ts';

/** set.json; undefined, and a notice, when it is damaged. Throws when there is none, as it does. */
export function readableSetFile(
  files: FileSystem,
  folder: string,
  notices: string[],
): SetFile | undefined {
  try {
    return readSetFile(files, folder);
  } catch (error) {
    if (!isRcopyError(error, 'E_DAMAGED')) throw error;
    notices.push(messageOf(error));
    return undefined;
  }
}

export function cursorsOf(files: FileSystem, folder: string, notices: string[]): Cursors {
  const path = setPaths.cursors(folder);
  const handle = files.open(path, 'read', 'INSPECT:OPEN');
  try {
    const { cursors, flaw } = readCursors(handle, path);
    if (flaw) notices.push(findingText(flaw));
    return cursors;
  } finally {
    handle.close();
  }
}

export interface SegmentFile {
  readonly epoch: number;
  readonly firstSequence: number;
  readonly path: string;
}

export function segmentsOf(files: FileSystem, folder: string): SegmentFile[] {
  const journal = setPaths.journal(folder);
  return files.list(journal, 'INSPECT:LIST').flatMap((name) => {
    const parsed = parseSegmentName(name);
    return parsed ? [{ ...parsed, path: join(journal, name) }] : [];
  });
}

/** The header of an open segment file, or why it is not the one that the file's name promises. */
export function segmentHeader(
  handle: FileHandle,
  segment: SegmentFile,
): { readonly header: SegmentHeader } | { readonly problem: string } {
  const head = Buffer.alloc(SEGMENT_HEADER_BYTES);
  const got = handle.read(head, 0, 'INSPECT:READ');
  const check = decodeSegmentHeader(head.subarray(0, got));
  switch (check.found) {
    case 'unknown-version':
      return { problem: `format version ${check.version}` };
    case 'zeroes':
      return { problem: 'there are only zeroes' };
    case 'garbage':
      return { problem: check.reason };
    case 'header': {
      const { epoch, firstSequence } = check.header;
      const isNamed = epoch === segment.epoch && firstSequence === segment.firstSequence;
      return isNamed ? check : { problem: 'it is the header of another segment' };
    }
  }
}

/** The same of a file that is not open; undefined when the header is sound. */
export function segmentProblem(files: FileSystem, segment: SegmentFile): string | undefined {
  const handle = files.open(segment.path, 'read', 'INSPECT:OPEN');
  try {
    const found = segmentHeader(handle, segment);
    return 'problem' in found ? found.problem : undefined;
  } finally {
    handle.close();
  }
}

/** What `action` gives; undefined, and a notice, when it fails. */
export function attempt<T>(notices: string[], action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    notices.push(messageOf(error));
    return undefined;
  }
}
