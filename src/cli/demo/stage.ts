/**
 * Where the demo is played: on a terminal with a spinner, or with the picture while there is one;
 * elsewhere as plain lines. What is done is told on stdout, what goes on now is drawn on stderr.
 */
import type { Ora } from 'ora';
import type { Clock, Timer } from '../../sys/clock.ts';
import { plainPaint } from '../paint.ts';
import type { Paint } from '../paint.ts';
import { PICTURE_COLUMNS, PICTURE_LINES, pictureOf } from './picture.ts';
import type { Scene } from './picture.ts';

/** The picture moves this often: seen as a movement, and calm. */
const FRAME_MS = 120;

const TURNING = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

const HIDE_CURSOR = '\u001B[?25l';
const SHOW_CURSOR = '\u001B[?25h';
const CLEAR_LINE_END = '\u001B[K';
const CLEAR_BELOW = '\u001B[J';

export interface Stage {
  /** What goes on now. */
  now(text: string): void;
  /** Something is done: a line that stays. */
  tell(text: string): void;
  /** Draws from now on the picture of what `scene` returns; undefined ends it. */
  draw(scene: (() => Scene) | undefined): void;
  /** Takes away what is not to stay. */
  close(): void;
}

export interface StageOptions {
  readonly clock: Clock;
  /** Writes a line that stays; nothing of the kind where the result is JSON. */
  readonly print: (line: string) => void;
  readonly paint: Paint;
  /** The paint of stderr, when that is a terminal to draw on. */
  readonly screenPaint: Paint | undefined;
}

export async function openStage(options: StageOptions): Promise<Stage> {
  const { screenPaint } = options;
  if (!screenPaint) return new PlainStage(options);
  const { default: ora } = await import('ora');
  const spinner = ora({
    stream: process.stderr,
    isEnabled: true,
    discardStdin: false,
    color: screenPaint === plainPaint ? false : 'cyan',
  });
  return new LiveStage(options, screenPaint, spinner);
}

class PlainStage implements Stage {
  private readonly options: StageOptions;
  private closed = false;

  constructor(options: StageOptions) {
    this.options = options;
  }

  now(): void {
    // Only what is done makes a line of its own.
  }

  tell(text: string): void {
    const { print, paint } = this.options;
    if (!this.closed) print(`${paint.good('✓')} ${text}`);
  }

  draw(): void {
    // There is nothing to draw on.
  }

  close(): void {
    this.closed = true;
  }
}

class LiveStage implements Stage {
  private readonly plain: PlainStage;
  private readonly clock: Clock;
  private readonly screenPaint: Paint;
  private readonly spinner: Ora;
  private text = '';
  private scene: (() => Scene) | undefined;
  private timer: Timer | undefined;
  private tick = 0;
  /** Lines of the picture that stand on the screen. */
  private drawn = 0;
  private closed = false;
  private readonly showCursor = (): void => {
    process.stderr.write(SHOW_CURSOR);
  };

  constructor(options: StageOptions, screenPaint: Paint, spinner: Ora) {
    this.plain = new PlainStage(options);
    this.clock = options.clock;
    this.screenPaint = screenPaint;
    this.spinner = spinner;
  }

  now(text: string): void {
    this.text = text;
    if (this.closed || this.scene) return;
    this.spinner.text = text;
    if (!this.spinner.isSpinning) this.spinner.start();
  }

  tell(text: string): void {
    const { scene } = this;
    if (scene) this.wipe();
    this.plain.tell(text);
    if (scene) this.frame(scene);
  }

  draw(scene: (() => Scene) | undefined): void {
    if (this.closed) return;
    if (this.scene) this.endPicture();
    if (!scene) {
      this.now(this.text);
      return;
    }
    this.spinner.stop();
    this.scene = scene;
    process.stderr.write(HIDE_CURSOR);
    process.once('exit', this.showCursor);
    this.turn(scene);
  }

  close(): void {
    if (this.scene) this.endPicture();
    this.closed = true;
    this.plain.close();
    this.spinner.stop();
  }

  private turn(scene: () => Scene): void {
    this.tick += 1;
    this.frame(scene);
    this.timer = this.clock.after(FRAME_MS, () => this.turn(scene));
  }

  /** Draws over what stands there, in one piece: nothing flickers. */
  private frame(scene: () => Scene): void {
    if (this.closed) return;
    const { screenPaint: paint, tick, drawn } = this;
    const words = this.text.slice(0, process.stderr.columns - 3);
    const lines = [`${paint.accent(TURNING[tick % TURNING.length] ?? '')} ${words}`];
    if (roomForPicture()) lines.push('', ...pictureOf(scene(), tick, paint));
    const body = lines.map((line) => `${line}${CLEAR_LINE_END}\n`).join('');
    process.stderr.write(`${up(drawn)}${body}${CLEAR_BELOW}`);
    this.drawn = lines.length;
  }

  private wipe(): void {
    if (this.drawn > 0) process.stderr.write(`${up(this.drawn)}${CLEAR_BELOW}`);
    this.drawn = 0;
  }

  private endPicture(): void {
    this.timer?.cancel();
    this.wipe();
    this.scene = undefined;
    process.off('exit', this.showCursor);
    this.showCursor();
  }
}

function up(lines: number): string {
  return lines === 0 ? '' : `\u001B[${lines}A\r`;
}

/** A picture that is cut or wrapped is worse than none. */
function roomForPicture(): boolean {
  const { columns, rows } = process.stderr;
  return columns >= PICTURE_COLUMNS && rows > PICTURE_LINES + 2;
}
