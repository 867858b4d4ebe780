/**
 * The answer to a call that lasts, line by line: `{"progress": …}` now and then, `{"alive": true}`
 * when nothing else was said for a while, at last `{"answer": …}` or `{"error": …}`.
 */
import type { ServerResponse } from 'node:http';
import type { OnProgress, Progress } from '../node/answers.ts';
import type { Clock } from '../sys/clock.ts';
import { ALIVE_INTERVAL_MS, ANSWER_LINES } from './wire.ts';
import { errorBody } from './http-errors.ts';

/** Nobody sees more progress than this, in milliseconds. */
const PROGRESS_INTERVAL_MS = 100;

export type AnswerLine =
  | { readonly progress: Progress }
  | { readonly alive: true }
  | { readonly answer: unknown }
  | ReturnType<typeof errorBody>;

/** Runs `work`, and says in lines how it goes. Resolves when all is said; never rejects. */
export async function answerInLines(
  response: ServerResponse,
  clock: Clock,
  work: (onProgress: OnProgress) => Promise<unknown>,
): Promise<void> {
  const say = (line: AnswerLine): void => {
    if (!response.destroyed) response.write(`${JSON.stringify(line)}\n`);
  };
  response.writeHead(200, { 'content-type': ANSWER_LINES });
  let saidMs = clock.monotonicMs();
  const stop = repeat(clock, ALIVE_INTERVAL_MS, () => say({ alive: true }));
  try {
    const answer = await work((progress) => {
      const now = clock.monotonicMs();
      if (now - saidMs < PROGRESS_INTERVAL_MS) return;
      saidMs = now;
      say({ progress });
    });
    say({ answer: answer ?? {} });
  } catch (error) {
    say(errorBody(error));
  } finally {
    stop();
    response.end();
  }
}

function repeat(clock: Clock, intervalMs: number, action: () => void): () => void {
  let timer = clock.after(intervalMs, again);
  function again(): void {
    action();
    timer = clock.after(intervalMs, again);
  }
  return () => timer.cancel();
}
