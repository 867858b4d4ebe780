/**
 * The client's side of the handshake, pure: bytes in, what to send and at last an outcome out.
 *
 * ```
 *   greeting --> STRUCTURED_REPLY --> SET_META_CONTEXT --> GO --> transmission
 * ```
 *
 * The first two may be refused: then there are no chunks, or nothing is told about holes.
 */
import { RcopyError, isRcopyError, messageOf } from '../base/errors.ts';
import { NBD_OPTION_BYTES_MAX, NBD_STRING_BYTES_MAX, REQUEST_BYTES_MAX } from '../base/limits.ts';
import {
  ALLOCATION_CONTEXT,
  CLIENT_FLAGS,
  HANDSHAKE_FLAGS,
  INFOS,
  INIT_MAGIC,
  OPTIONS,
  OPTION_ERROR_FIRST,
  OPTION_MAGIC,
  OPTION_REPLIES,
  OPTION_REPLY_HEADER_BYTES,
  OPTION_REPLY_MAGIC,
  TRANSMISSION_FLAGS,
  nameIn,
} from './protocol.ts';
import { WireReader, WireWriter, malformed } from './wire.ts';

/** What the server offers; it does not change any more. */
export interface ServerSession {
  readonly sizeBytes: number;
  /** {@link TRANSMISSION_FLAGS}. */
  readonly flags: number;
  /** Reads are answered in chunks. */
  readonly structured: boolean;
  /** The number of `base:allocation`; undefined when the server does not tell holes. */
  readonly allocationContext: number | undefined;
  /** What requests must be multiples of. */
  readonly blockBytesMin: number;
  /** The largest payload. */
  readonly payloadBytesMax: number;
}

export interface ClientStep {
  /** What to send; may be empty. */
  readonly send: Buffer;
  readonly session: ServerSession | undefined;
  /** Bytes that were not looked at yet. */
  readonly rest: Buffer;
}

const NOTHING = Buffer.alloc(0);
const GREETING_BYTES = 18;

/** Replies to one option: more than any list of an export's infos. */
const REPLIES_MAX = 64;

type OptionNumber = (typeof OPTIONS)[keyof typeof OPTIONS];

export class ClientHandshake {
  private readonly name: string;
  private expects: 'greeting' | 'header' | 'data' = 'greeting';
  private buffer = Buffer.alloc(GREETING_BYTES);
  private filled = 0;
  private option: OptionNumber = OPTIONS.STRUCTURED_REPLY;
  private replyType = 0;
  private replies = 0;
  private structured = false;
  private allocationContext: number | undefined;
  private size: { readonly sizeBytes: number; readonly flags: number } | undefined;
  private blockBytesMin = 1;
  private payloadBytesMax = REQUEST_BYTES_MAX;

  /** For the export `name`; '' is the server's default one. */
  constructor(name: string) {
    this.name = name;
  }

  /**
   * Takes in what the server sent. Throws `E_PROTOCOL` when it is not NBD, and what the server
   * refuses the export with.
   */
  take(bytes: Buffer): ClientStep {
    let rest = bytes;
    for (;;) {
      const copied = rest.copy(this.buffer, this.filled);
      this.filled += copied;
      rest = rest.subarray(copied);
      if (this.filled < this.buffer.length) return { send: NOTHING, session: undefined, rest };
      const step = this.collected();
      if (step) return { ...step, rest };
    }
  }

  private expect(what: 'header' | 'data', length: number): void {
    this.expects = what;
    this.buffer = Buffer.alloc(length);
    this.filled = 0;
  }

  private collected(): Omit<ClientStep, 'rest'> | undefined {
    const reader = new WireReader(this.buffer);
    switch (this.expects) {
      case 'greeting':
        return this.greeted(reader);
      case 'header':
        this.replyHeader(reader);
        return undefined;
      case 'data':
        this.expect('header', OPTION_REPLY_HEADER_BYTES);
        return this.reply(reader);
    }
  }

  private greeted(greeting: WireReader): Omit<ClientStep, 'rest'> {
    expectMagic(greeting, INIT_MAGIC, 'the server does not speak NBD');
    expectMagic(greeting, OPTION_MAGIC, 'the server speaks an old form of NBD');
    const flags = greeting.u16();
    if ((flags & HANDSHAKE_FLAGS.FIXED_NEWSTYLE) === 0) {
      throw malformed('the server does not offer fixed newstyle');
    }
    const zeroes = (flags & HANDSHAKE_FLAGS.NO_ZEROES) === 0 ? 0 : CLIENT_FLAGS.NO_ZEROES;
    const answer = new WireWriter().u32(CLIENT_FLAGS.FIXED_NEWSTYLE | zeroes).finish();
    const step = this.ask(OPTIONS.STRUCTURED_REPLY);
    return { ...step, send: Buffer.concat([answer, step.send]) };
  }

  /** Sends an option; its replies are expected from now on. */
  private ask(option: OptionNumber): Omit<ClientStep, 'rest'> {
    this.option = option;
    this.replies = 0;
    this.expect('header', OPTION_REPLY_HEADER_BYTES);
    const data = this.optionData();
    const header = new WireWriter().magic(OPTION_MAGIC).u32(option).u32(data.length);
    return { send: header.bytes(data).finish(), session: undefined };
  }

  private optionData(): Buffer {
    const data = new WireWriter();
    switch (this.option) {
      case OPTIONS.SET_META_CONTEXT:
        return data.counted(this.name).u32(1).counted(ALLOCATION_CONTEXT).finish();
      case OPTIONS.GO:
        return data.counted(this.name).u16(1).u16(INFOS.BLOCK_SIZE).finish();
      default:
        return NOTHING;
    }
  }

  private replyHeader(header: WireReader): void {
    expectMagic(header, OPTION_REPLY_MAGIC, 'a reply to an option does not begin with its magic');
    const option = header.u32();
    if (option !== this.option) throw malformed(`a reply to ${nameIn(OPTIONS, option)}`);
    this.replyType = header.u32();
    const length = header.u32();
    if (length > NBD_OPTION_BYTES_MAX) throw malformed(`a reply of ${length} bytes`);
    this.replies += 1;
    if (this.replies > REPLIES_MAX) throw malformed('the replies to an option do not end');
    this.expect('data', length);
  }

  private reply(data: WireReader): Omit<ClientStep, 'rest'> | undefined {
    if (this.replyType >= OPTION_ERROR_FIRST) return this.refused(data);
    switch (this.replyType) {
      case OPTION_REPLIES.ACK:
        data.end();
        return this.acknowledged();
      case OPTION_REPLIES.META_CONTEXT: {
        const id = data.u32();
        const context = data.text(data.remaining, NBD_STRING_BYTES_MAX);
        if (context === ALLOCATION_CONTEXT) this.allocationContext = id;
        return undefined;
      }
      case OPTION_REPLIES.INFO:
        this.info(data);
        return undefined;
      default:
        throw malformed(`a reply of type ${nameIn(OPTION_REPLIES, this.replyType)}`);
    }
  }

  private info(data: WireReader): void {
    switch (data.u16()) {
      case INFOS.EXPORT:
        this.size = { sizeBytes: data.u64(), flags: data.u16() };
        data.end();
        if (!Number.isSafeInteger(this.size.sizeBytes)) throw malformed('the export is too large');
        return;
      case INFOS.BLOCK_SIZE: {
        this.blockBytesMin = data.u32();
        data.u32();
        this.payloadBytesMax = Math.min(data.u32(), REQUEST_BYTES_MAX);
        data.end();
        return;
      }
      default: // what we did not ask for does not matter
    }
  }

  private acknowledged(): Omit<ClientStep, 'rest'> {
    switch (this.option) {
      case OPTIONS.STRUCTURED_REPLY:
        this.structured = true;
        return this.ask(OPTIONS.SET_META_CONTEXT);
      case OPTIONS.GO:
        return { send: NOTHING, session: this.session() };
      default:
        return this.ask(OPTIONS.GO);
    }
  }

  private session(): ServerSession {
    if (!this.size) throw malformed('the server does not tell the size of the export');
    if ((this.size.flags & TRANSMISSION_FLAGS.HAS_FLAGS) === 0) {
      throw malformed('the server does not tell what the export can do');
    }
    const { structured, allocationContext, blockBytesMin, payloadBytesMax } = this;
    return { ...this.size, structured, allocationContext, blockBytesMin, payloadBytesMax };
  }

  private refused(data: WireReader): Omit<ClientStep, 'rest'> {
    if (this.option !== OPTIONS.GO) return this.ask(OPTIONS.GO);
    const words = wordsOf(data);
    const said = `${nameIn(OPTION_REPLIES, this.replyType)}${words === '' ? '' : `: ${words}`}`;
    const what = this.name === '' ? 'the default export' : `export ${JSON.stringify(this.name)}`;
    const code = this.replyType === OPTION_REPLIES.ERR_UNKNOWN ? 'E_NOT_FOUND' : 'E_STATE';
    throw new RcopyError(code, `${what} was refused: ${said}`);
  }
}

/** The message that an error may have; whatever it is, it is only for people. */
function wordsOf(data: WireReader): string {
  try {
    return data.text(data.remaining, NBD_STRING_BYTES_MAX);
  } catch (error) {
    return isRcopyError(error) ? '' : messageOf(error);
  }
}

function expectMagic(
  reader: WireReader,
  magic: { readonly high: number; readonly low: number },
  otherwise: string,
): void {
  if (reader.u32() !== magic.high || reader.u32() !== magic.low) throw malformed(otherwise);
}
