/**
 * The server's side of the handshake, pure: bytes in, replies and at last an outcome out.
 *
 * ```
 *   client flags --> option --> option --> ... --> EXPORT_NAME or GO --> transmission
 *        |             |  ^                  \
 *        |             +--+ an answer         +--> ABORT --> the end
 *        +--> flags that we do not know: the end
 * ```
 *
 * At most one option is answered a call, so that its caller can wait for a client that does not
 * read; at most one option is held. STARTTLS, when it comes, is one more outcome: everything
 * negotiated before is forgotten then, and bytes already here behind that option are refused,
 * since someone on the way may have put them there.
 */
import { RcopyError, messageOf } from '../base/errors.ts';
import { NBD_OPTION_BYTES_MAX, NBD_STRING_BYTES_MAX } from '../base/limits.ts';
import { allocationQueried, encodeInfo, encodeOptionReply, exportFlags } from './options.ts';
import type { NbdExport, NbdExports } from './exports.ts';
import {
  ALLOCATION_CONTEXT,
  ALLOCATION_CONTEXT_ID,
  CLIENT_FLAGS,
  EXPORT_NAME_ZEROES_BYTES,
  HANDSHAKE_FLAGS,
  INFOS,
  INIT_MAGIC,
  OPTIONS,
  OPTION_HEADER_BYTES,
  OPTION_MAGIC,
  OPTION_REPLIES,
} from './protocol.ts';
import { WireReader, WireWriter } from './wire.ts';

/** What client and server agreed on; it does not change any more. */
export interface Session {
  readonly export: NbdExport;
  readonly readOnly: boolean;
  /** Reads are answered in chunks. */
  readonly structured: boolean;
  /** BLOCK_STATUS is answered with `base:allocation`. */
  readonly allocation: boolean;
  /** Writes are answered with their numbers: the client is a path controller. */
  readonly numbered: boolean;
}

export type Outcome =
  | { readonly kind: 'transmission'; readonly session: Session }
  /** Nothing more to say; `reason` when the client is at fault or was refused. */
  | { readonly kind: 'end'; readonly reason: string | undefined };

/** What one call came to. */
export interface Step {
  /** What to send; may be empty. */
  readonly reply: Buffer;
  readonly outcome: Outcome | undefined;
  /** Bytes that were not looked at yet. */
  readonly rest: Buffer;
}

const NOTHING = Buffer.alloc(0);

/** Of what is said to people about a refusal: far below the protocol's limit for strings. */
const MESSAGE_LENGTH_MAX = 1000;

export class ServerHandshake {
  private readonly exports: NbdExports;
  private readonly numbered: boolean;
  /** What is being collected: the client's flags, an option's header, or its data. */
  private expects: 'flags' | 'header' | 'data' = 'flags';
  private buffer = Buffer.alloc(4);
  private filled = 0;
  /** Bytes of an option's data that is too long to be held. */
  private skipping = 0;
  private option = 0;
  private fixed = false;
  private zeroes = true;
  private structured = false;
  /** The export name that `base:allocation` was selected for. */
  private allocationFor: string | undefined;

  /** `numbered`: see {@link Session}; such a client must take chunks. */
  constructor(exports: NbdExports, numbered = false) {
    this.exports = exports;
    this.numbered = numbered;
  }

  /** The first bytes on the connection. */
  greeting(): Buffer {
    return new WireWriter()
      .magic(INIT_MAGIC)
      .magic(OPTION_MAGIC)
      .u16(HANDSHAKE_FLAGS.FIXED_NEWSTYLE | HANDSHAKE_FLAGS.NO_ZEROES)
      .finish();
  }

  /** Takes in what the client sent, up to the end of one option at most. */
  take(bytes: Buffer): Step {
    let rest = bytes;
    for (;;) {
      rest = this.collect(rest);
      if (this.skipping > 0 || this.filled < this.buffer.length) return more(rest);
      const step = this.collected();
      if (step) return { ...step, rest };
    }
  }

  /** Fills the buffer, or skips; returns what it did not need. */
  private collect(bytes: Buffer): Buffer {
    if (this.skipping > 0) {
      const skipped = Math.min(this.skipping, bytes.length);
      this.skipping -= skipped;
      return bytes.subarray(skipped);
    }
    const copied = bytes.copy(this.buffer, this.filled);
    this.filled += copied;
    return bytes.subarray(copied);
  }

  private expect(what: 'header' | 'data', length: number): void {
    this.expects = what;
    this.buffer = Buffer.alloc(length);
    this.filled = 0;
  }

  /** Deals with what was collected; undefined when that calls for no answer. */
  private collected(): Omit<Step, 'rest'> | undefined {
    switch (this.expects) {
      case 'flags':
        return this.clientFlags(this.buffer.readUInt32BE(0));
      case 'header':
        return this.optionHeader(new WireReader(this.buffer));
      case 'data': {
        const { buffer: data } = this;
        this.expect('header', OPTION_HEADER_BYTES);
        return this.answer(data);
      }
    }
  }

  private clientFlags(flags: number): Omit<Step, 'rest'> | undefined {
    const known = CLIENT_FLAGS.FIXED_NEWSTYLE | CLIENT_FLAGS.NO_ZEROES;
    if ((flags & ~known) !== 0) return end(`client flags 0x${flags.toString(16)} are unknown`);
    this.fixed = (flags & CLIENT_FLAGS.FIXED_NEWSTYLE) !== 0;
    this.zeroes = (flags & CLIENT_FLAGS.NO_ZEROES) === 0;
    this.expect('header', OPTION_HEADER_BYTES);
    return undefined;
  }

  private optionHeader(header: WireReader): Omit<Step, 'rest'> | undefined {
    if (header.u32() !== OPTION_MAGIC.high || header.u32() !== OPTION_MAGIC.low) {
      return end('an option does not begin with its magic');
    }
    this.option = header.u32();
    const length = header.u32();
    if (!this.fixed && this.option !== OPTIONS.EXPORT_NAME) {
      return end('an option other than EXPORT_NAME needs fixed newstyle');
    }
    if (length <= NBD_OPTION_BYTES_MAX) {
      this.expect('data', length);
      return undefined;
    }
    if (this.option === OPTIONS.EXPORT_NAME) return end('the name of the export is too long');
    if (this.option === OPTIONS.SET_META_CONTEXT) this.allocationFor = undefined;
    this.skipping = length;
    this.expect('header', OPTION_HEADER_BYTES);
    return this.refuse(OPTION_REPLIES.ERR_TOO_BIG, `${length} bytes are too long for an option`);
  }

  /** Answers a whole option. */
  private answer(data: Buffer): Omit<Step, 'rest'> {
    try {
      return this.answerOption(new WireReader(data));
    } catch (error) {
      if (this.option === OPTIONS.EXPORT_NAME) return end(messageOf(error));
      return this.refuse(OPTION_REPLIES.ERR_INVALID, messageOf(error));
    }
  }

  /** Throws when the data of the option is malformed. */
  private answerOption(data: WireReader): Omit<Step, 'rest'> {
    switch (this.option) {
      case OPTIONS.EXPORT_NAME:
        return this.exportName(data);
      case OPTIONS.ABORT:
        return { ...end(undefined), reply: this.encode(OPTION_REPLIES.ACK) };
      case OPTIONS.LIST:
        data.end();
        return this.list();
      case OPTIONS.INFO:
      case OPTIONS.GO:
        return this.info(data);
      case OPTIONS.STRUCTURED_REPLY:
        data.end();
        this.structured = true;
        return this.acknowledge([]);
      case OPTIONS.LIST_META_CONTEXT:
      case OPTIONS.SET_META_CONTEXT:
        return this.metaContext(data);
      // STARTTLS belongs here, see above.
      default:
        return this.refuse(OPTION_REPLIES.ERR_UNSUP, 'this server has no such option');
    }
  }

  private exportName(data: WireReader): Omit<Step, 'rest'> {
    const name = data.text(data.remaining, NBD_STRING_BYTES_MAX);
    const found = this.exports.find(name);
    if (!found || found instanceof RcopyError) return end(`${exportWords(name)} was refused`);
    const session = this.session(found, name);
    const reply = new WireWriter().u64(found.device.sizeBytes).u16(exportFlags(session));
    if (this.zeroes) reply.bytes(Buffer.alloc(EXPORT_NAME_ZEROES_BYTES));
    return { reply: reply.finish(), outcome: { kind: 'transmission', session } };
  }

  private list(): Omit<Step, 'rest'> {
    const entries = this.exports.list().map(({ name, description }) => {
      const entry = new WireWriter().counted(name).text(description).finish();
      return this.encode(OPTION_REPLIES.SERVER, entry);
    });
    return this.acknowledge(entries);
  }

  /** INFO and GO: they differ only in what comes next. */
  private info(data: WireReader): Omit<Step, 'rest'> {
    const name = data.text(data.u32(), NBD_STRING_BYTES_MAX);
    const wanted = new Set<number>([INFOS.EXPORT, INFOS.BLOCK_SIZE]);
    for (let count = data.u16(); count > 0; count -= 1) wanted.add(data.u16());
    data.end();
    const found = this.exports.find(name);
    if (!found || found instanceof RcopyError) return this.refuseExport(name, found);
    const session = this.session(found, name);
    const infos = Array.from(wanted, (info) => encodeInfo(info, session))
      .filter((info) => info !== undefined)
      .map((info) => this.encode(OPTION_REPLIES.INFO, info));
    const step = this.acknowledge(infos);
    if (this.option === OPTIONS.INFO) return step;
    return { ...step, outcome: { kind: 'transmission', session } };
  }

  /** LIST_ and SET_META_CONTEXT. SET replaces what was set before, also when it fails. */
  private metaContext(data: WireReader): Omit<Step, 'rest'> {
    const sets = this.option === OPTIONS.SET_META_CONTEXT;
    if (sets) this.allocationFor = undefined;
    if (!this.structured) {
      return this.refuse(OPTION_REPLIES.ERR_INVALID, 'ask for structured replies first');
    }
    const name = data.text(data.u32(), NBD_STRING_BYTES_MAX);
    const queries: string[] = [];
    for (let count = data.u32(); count > 0; count -= 1) {
      queries.push(data.text(data.u32(), NBD_STRING_BYTES_MAX));
    }
    data.end();
    const found = this.exports.find(name);
    if (!found || found instanceof RcopyError) return this.refuseExport(name, found);
    if (!allocationQueried(queries, sets ? 'set' : 'list')) return this.acknowledge([]);
    if (sets) this.allocationFor = name;
    const id = sets ? ALLOCATION_CONTEXT_ID : 0;
    const context = new WireWriter().u32(id).text(ALLOCATION_CONTEXT).finish();
    return this.acknowledge([this.encode(OPTION_REPLIES.META_CONTEXT, context)]);
  }

  /** What is agreed on if `name` is chosen now. A context selected for another name is none. */
  private session(found: NbdExport, name: string): Session {
    return {
      export: found,
      readOnly: found.device.readOnly,
      structured: this.structured,
      allocation: this.allocationFor === name,
      numbered: this.numbered,
    };
  }

  private refuseExport(name: string, error: RcopyError | undefined): Omit<Step, 'rest'> {
    if (!error) {
      return this.refuse(OPTION_REPLIES.ERR_UNKNOWN, `there is no ${exportWords(name)}`);
    }
    const words = error.hint === undefined ? error.message : `${error.message}; ${error.hint}`;
    switch (error.code) {
      case 'E_NOT_FOUND':
        return this.refuse(OPTION_REPLIES.ERR_UNKNOWN, words);
      case 'E_STOPPED':
        return this.refuse(OPTION_REPLIES.ERR_SHUTDOWN, words);
      default:
        return this.refuse(OPTION_REPLIES.ERR_POLICY, words);
    }
  }

  private refuse(type: number, words: string): Omit<Step, 'rest'> {
    const shown = Buffer.from(words.slice(0, MESSAGE_LENGTH_MAX));
    return { reply: this.encode(type, shown), outcome: undefined };
  }

  private acknowledge(before: readonly Buffer[]): Omit<Step, 'rest'> {
    const reply = Buffer.concat([...before, this.encode(OPTION_REPLIES.ACK)]);
    return { reply, outcome: undefined };
  }

  private encode(type: number, data: Buffer = NOTHING): Buffer {
    return encodeOptionReply(this.option, type, data);
  }
}

function more(rest: Buffer): Step {
  return { reply: NOTHING, outcome: undefined, rest };
}

function end(reason: string | undefined): Omit<Step, 'rest'> {
  return { reply: NOTHING, outcome: { kind: 'end', reason } };
}

function exportWords(name: string): string {
  return name === '' ? 'default export' : `export ${JSON.stringify(name)}`;
}
