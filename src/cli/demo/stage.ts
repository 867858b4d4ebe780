/**
 * Where the demo is played: on a terminal with a spinner, and under it the picture; elsewhere as
 * plain lines. What is done is told on stdout, what goes on now is drawn on stderr.
 */
import type { Ora } from 'ora';
import { plainPaint } from '../paint.ts';
import type { Paint } from '../paint.ts';
import { PICTURE_COLUMNS, PICTURE_LINES, pictureOf } from './picture.ts';
import type { Scene } from './picture.ts';

/** The picture moves this often: seen as a movement, and calm. */
const FRAME_MS = 120;
const SPINNER = { interval: FRAME_MS, frames: ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'] };

export interface Stage {
  /** What goes on now. */
  now(text: string): void;
  /** Something is done: a line that stays. */
  tell(text: string): void;
  /** Draws from now on what `scene` returns; nothing while it returns undefined. */
  draw(scene: () => Scene | undefined): void;
  /** Takes away what is not to stay. */
  close(): void;
}

export interface StageOptions {
  /** Writes a line that stays; nothing of the kind where the result is JSON. */
  readonly print: (line: string) => void;
  readonly paint: Paint;
  /** The paint of stderr, when that is a terminal to draw on. */
  readonly screenPaint: Paint | undefined;
}

export async function openStage(options: StageOptions): Promise<Stage> {
  const { print, paint, screenPaint } = options;
  let closed = false;
  const tell = (text: string): void => {
    if (!closed) print(`${paint.good('✓')} ${text}`);
  };
  const close = (): void => {
    closed = true;
  };
  if (!screenPaint) return { now: () => undefined, tell, draw: () => undefined, close };

  const { default: ora } = await import('ora');
  let source: () => Scene | undefined = () => undefined;
  let tick = 0;
  const spinner: Ora = ora({
    text: '',
    stream: process.stderr,
    isEnabled: true,
    discardStdin: false,
    color: screenPaint === plainPaint ? false : 'cyan',
    spinner: SPINNER,
    suffixText: () => {
      tick += 1;
      const scene = roomForPicture() ? source() : undefined;
      return scene ? `\n\n${pictureOf(scene, tick, screenPaint).join('\n')}\n` : '';
    },
  });
  return {
    now: (text) => {
      if (closed) return;
      spinner.text = text;
      if (!spinner.isSpinning) spinner.start();
    },
    tell,
    draw: (scene) => {
      source = scene;
    },
    close: () => {
      close();
      spinner.stop();
    },
  };
}

/** A picture that is cut or wrapped is worse than none. */
function roomForPicture(): boolean {
  const { columns = 0, rows = 0 } = process.stderr;
  return columns >= PICTURE_COLUMNS && rows > PICTURE_LINES + 4;
}
