/** One call of a daemon, followed to its answer. */
import { RcopyError } from '../base/errors.ts';
import type { OnProgress } from '../node/answers.ts';
import type { AnswerLine } from './answer-lines.ts';
import { ask, linesOf } from './http-client.ts';
import type { Endpoint } from './http-client.ts';
import { errorOf } from './http-errors.ts';
import { ANSWER_LINES } from './wire.ts';

/**
 * Asks `path` (behind the version) with `parameters`, and resolves with the answer. Rejects with
 * the daemon's error. What comes back is of the same program, which checked it: only its shape is
 * believed.
 */
export async function callDaemon<T>(
  endpoint: Endpoint,
  { path, parameters }: { readonly path: string; readonly parameters: unknown },
  { onProgress, lookAgain }: { onProgress?: OnProgress | undefined; lookAgain: string },
): Promise<T> {
  const response = await ask(endpoint, {
    method: 'POST',
    path,
    headers: { accept: ANSWER_LINES },
    body: { json: parameters },
  });
  for await (const value of linesOf(response, endpoint)) {
    const line = value as AnswerLine;
    if ('progress' in line) onProgress?.(line.progress);
    else if ('error' in line) throw errorOf(line, endpoint.name);
    else if ('answer' in line) return line.answer as T;
  }
  throw new RcopyError('E_UNREACHABLE', `${endpoint.name} ended without an answer`, {
    hint: `what was asked for may go on there: see \`${lookAgain}\``,
  });
}
