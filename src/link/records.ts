/** Records as they travel: whole, back to back. */
import { RcopyError } from '../base/errors.ts';
import { decodeRecord } from '../format/record.ts';
import type { WholeRecord } from '../format/record.ts';

/** The whole records in one piece, each checked; their order is the journal's to check. */
export function parseRecords(body: Buffer): WholeRecord[] {
  const records: WholeRecord[] = [];
  for (let at = 0; at < body.length;) {
    const check = decodeRecord(body, at);
    if (check.found !== 'record') {
      const reason = 'reason' in check ? check.reason : check.found;
      throw new RcopyError('E_PROTOCOL', `records that came are broken at ${at}: ${reason}`);
    }
    records.push(check.record);
    at += check.record.bytes.length;
  }
  return records;
}
