/**
 * What a request is answered with. What may have data in its answer is answered in a chunk where
 * those were agreed on, also when it fails: a structured read never gets a simple reply.
 */
import { RcopyError, messageOf } from '../base/errors.ts';
import type { Completion } from '../device/device.ts';
import { errnoOf } from './errno.ts';
import type { Session } from './handshake.ts';
import type { Outbox } from './outbox.ts';
import { CHUNKS, COMMANDS } from './protocol.ts';
import type { ClientRequest } from './request.ts';

/** Of an error's message. */
const MESSAGE_LENGTH_MAX = 200;

const NO_DATA: readonly Uint8Array[] = [];

/** Answers what the device is through with; false when it failed. */
export function answer(
  outbox: Outbox,
  request: ClientRequest,
  completion: Completion,
  { structured, numbered }: Session,
): boolean {
  const failure = completion.ok ? unfit(request, completion.data ?? NO_DATA) : completion.error;
  if (failure || !completion.ok) {
    const errno = errnoOf(failure, request.direction);
    answerError(outbox, request, errno, messageOf(failure), structured);
    return false;
  }
  const { data = NO_DATA } = completion;
  switch (request.command) {
    case COMMANDS.READ:
      if (structured) outbox.offsetData(request, request.offset, request.length);
      else outbox.simple(request, 0);
      for (const part of data) outbox.data(part);
      break;
    case COMMANDS.BLOCK_STATUS:
      outbox.chunk(request, CHUNKS.BLOCK_STATUS, lengthOf(data));
      for (const part of data) outbox.data(part);
      break;
    default:
      if (numbered && completion.sequence) outbox.number(request, completion.sequence);
      else outbox.simple(request, 0);
  }
  return true;
}

/** Answers what failed or was refused; `message` is for people. */
export function answerError(
  outbox: Outbox,
  request: ClientRequest,
  errno: number,
  message: string,
  structured: boolean,
): void {
  const { command } = request;
  if (structured && (command === COMMANDS.READ || command === COMMANDS.BLOCK_STATUS)) {
    outbox.error(request, errno, Buffer.from(message.slice(0, MESSAGE_LENGTH_MAX)));
  } else {
    outbox.simple(request, errno);
  }
}

/** A read that brought another length than asked for would break the stream of replies. */
function unfit(request: ClientRequest, data: readonly Uint8Array[]): RcopyError | undefined {
  if (request.command !== COMMANDS.READ || lengthOf(data) === request.length) return undefined;
  const { offset, length } = request;
  return new RcopyError(
    'E_INTERNAL',
    `a read of ${length} bytes at offset ${offset} brought ${lengthOf(data)}`,
  );
}

function lengthOf(parts: readonly Uint8Array[]): number {
  let length = 0;
  for (const part of parts) length += part.length;
  return length;
}
