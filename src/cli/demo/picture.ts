/**
 * The demo's picture: host, A, B, C, and what moves between them. Pure: a scene in, lines out, so
 * that every moment of it can be looked at in a test.
 */
import type { Paint } from '../paint.ts';
import { formatCount, formatSize } from '../../base/sizes.ts';

/** Columns and lines that the picture takes. */
export const PICTURE_COLUMNS = 76;
export const PICTURE_LINES = 16;

/** One box. */
export interface BoxScene {
  /** `A tokyo`. */
  readonly title: string;
  /** `primary`; empty for a set that is not there yet. */
  readonly role: string;
  readonly epoch: number | undefined;
  /** What the number says: `newest`, `restored`. */
  readonly label: string;
  readonly number: number | undefined;
  readonly alive: boolean;
}

/** One moment. */
export interface Scene {
  readonly host: {
    readonly writes: number;
    readonly bytes: number;
    /** Who takes its commands; `held`: nobody for a moment. */
    readonly at: 'a' | 'b' | 'held' | 'nobody';
  };
  readonly a: BoxScene;
  readonly b: BoxScene;
  readonly c: BoxScene;
  /** Contents that B fetches from A. */
  readonly fetching: { readonly doneBytes: number; readonly totalBytes: number } | undefined;
  /** Numbers that each still has to send; undefined when it is not its turn. */
  readonly sendingA: number | undefined;
  readonly sendingB: number | undefined;
}

const BOX_COLUMNS = 24;
const LEFT = 2;
const MIDDLE = LEFT + 25;
const RIGHT = LEFT + 50;
const LEFT_LINE = LEFT + 11;
const MIDDLE_LINE = MIDDLE + 11;
const RIGHT_LINE = RIGHT + 11;
/** Where the ways of A and B come down on C. */
const C_FROM_A = MIDDLE + 6;
const C_FROM_B = MIDDLE + 16;

type Look = keyof Paint | 'plain';

interface Cell {
  readonly character: string;
  readonly look: Look;
}

/** A grid of characters, each with its look. */
class Canvas {
  private readonly rows: Cell[][];

  constructor(lines: number) {
    this.rows = Array.from({ length: lines }, () => []);
  }

  put(row: number, column: number, text: string, look: Look = 'plain'): void {
    const cells = this.rows[row];
    if (!cells) return;
    while (cells.length < column) cells.push({ character: ' ', look: 'plain' });
    for (const [index, character] of Array.from(text).entries()) {
      cells[column + index] = { character, look };
    }
  }

  lines(paint: Paint): string[] {
    return this.rows.map((cells) => {
      let line = '';
      for (let start = 0; start < cells.length;) {
        const look = cells[start]?.look ?? 'plain';
        let end = start;
        let text = '';
        for (; end < cells.length && (cells[end]?.look ?? 'plain') === look; end += 1) {
          text += cells[end]?.character ?? ' ';
        }
        line += look === 'plain' ? text : paint[look](text);
        start = end;
      }
      return line;
    });
  }
}

type Place = readonly [row: number, column: number];

/** The picture of one moment; `tick` moves what is on its way. */
export function pictureOf(scene: Scene, tick: number, paint: Paint): string[] {
  const canvas = new Canvas(PICTURE_LINES);
  drawHost(canvas, scene);
  drawBox(canvas, 5, LEFT, scene.a);
  drawBox(canvas, 5, RIGHT, scene.b);
  drawBox(canvas, 12, MIDDLE, scene.c);
  drawHostWay(canvas, scene, tick);
  drawFetch(canvas, scene, tick);
  if (scene.sendingA !== undefined) {
    canvas.put(8, LEFT_LINE, '┬', scene.a.alive ? 'plain' : 'faint');
    const way = [...down(9, LEFT_LINE), ...across(10, LEFT_LINE, C_FROM_A)];
    drawWay(canvas, [...way, [11, C_FROM_A]], tick, scene.sendingA > 0);
    canvas.put(9, LEFT_LINE + 2, toSend(scene.sendingA), 'faint');
  }
  if (scene.sendingB !== undefined) {
    canvas.put(8, RIGHT_LINE, '┬', scene.b.alive ? 'plain' : 'faint');
    const way = [...down(9, RIGHT_LINE), ...across(10, RIGHT_LINE, C_FROM_B)];
    drawWay(canvas, [...way, [11, C_FROM_B]], tick, scene.sendingB > 0);
    const text = toSend(scene.sendingB);
    canvas.put(9, RIGHT_LINE - 1 - text.length, text, 'faint');
  }
  return canvas.lines(paint);
}

function toSend(numbers: number): string {
  return numbers === 0 ? 'all sent' : `${formatCount(numbers)} to send`;
}

function drawHost(canvas: Canvas, { host }: Scene): void {
  drawFrame(canvas, 0, MIDDLE, 'host', 1, true);
  drawInside(canvas, 1, MIDDLE, 'writes', formatCount(host.writes), 'strong');
  canvas.put(1, MIDDLE + BOX_COLUMNS + 1, formatSize(host.bytes), 'faint');
}

function drawBox(canvas: Canvas, row: number, column: number, box: BoxScene): void {
  drawFrame(canvas, row, column, box.title, 2, box.alive);
  const epoch = box.epoch === undefined ? '' : `epoch ${box.epoch}`;
  drawInside(canvas, row + 1, column, box.role, epoch, box.alive ? 'plain' : 'faint');
  if (box.number === undefined) return;
  const look = box.alive ? 'strong' : 'faint';
  drawInside(canvas, row + 2, column, box.label, formatCount(box.number), look);
}

function drawFrame(
  canvas: Canvas,
  row: number,
  column: number,
  title: string,
  inside: number,
  alive: boolean,
): void {
  const look = alive ? 'plain' : 'faint';
  const head = `┌─ ${title} `;
  canvas.put(row, column, head + '─'.repeat(BOX_COLUMNS - head.length - 1) + '┐', look);
  canvas.put(row, column + 3, title, alive ? 'strong' : 'faint');
  for (let line = 1; line <= inside; line += 1) {
    canvas.put(row + line, column, `│${' '.repeat(BOX_COLUMNS - 2)}│`, look);
  }
  canvas.put(row + inside + 1, column, `└${'─'.repeat(BOX_COLUMNS - 2)}┘`, look);
}

/** One text at the left edge of a box, one at its right edge. */
function drawInside(
  canvas: Canvas,
  row: number,
  column: number,
  left: string,
  right: string,
  look: Look,
): void {
  canvas.put(row, column + 2, left, look === 'strong' ? 'plain' : look);
  canvas.put(row, column + BOX_COLUMNS - 2 - right.length, right, look);
}

function drawHostWay(canvas: Canvas, { host }: Scene, tick: number): void {
  switch (host.at) {
    case 'a':
    case 'b': {
      const line = host.at === 'a' ? LEFT_LINE : RIGHT_LINE;
      canvas.put(2, MIDDLE_LINE, '┬');
      drawWay(canvas, [...across(3, MIDDLE_LINE, line), [4, line]], tick, true);
      return;
    }
    case 'held':
      canvas.put(2, MIDDLE_LINE, '┬');
      canvas.put(3, MIDDLE_LINE, '│', 'warning');
      canvas.put(4, MIDDLE_LINE - 2, 'waits', 'warning');
      return;
    case 'nobody':
  }
}

function drawFetch(canvas: Canvas, { fetching }: Scene, tick: number): void {
  if (!fetching) return;
  const from = LEFT + BOX_COLUMNS + 1;
  const columns = RIGHT - from - 1;
  const { doneBytes, totalBytes } = fetching;
  const share = totalBytes === 0 ? 1 : Math.min(1, doneBytes / totalBytes);
  const busy = share < 1;
  canvas.put(6, from, `${'─'.repeat(columns - 1)}▶`, busy ? 'accent' : 'faint');
  if (busy) canvas.put(6, from + (tick % (columns - 1)), '●', 'accent');
  const bar = columns - 5;
  const full = Math.floor(share * bar);
  canvas.put(7, from, '━'.repeat(full), 'accent');
  canvas.put(7, from + full, '─'.repeat(bar - full), 'faint');
  canvas.put(7, from + bar, `${Math.floor(share * 100)}%`.padStart(5), 'plain');
}

/** A way that ends in an arrow head; where something moves, a dot goes along it. */
function drawWay(canvas: Canvas, way: readonly Place[], tick: number, busy: boolean): void {
  const look = busy ? 'accent' : 'faint';
  for (const [index, place] of way.entries()) {
    canvas.put(...place, lineCharacter(way[index - 1], place, way[index + 1]), look);
  }
  const dot = way[tick % (way.length - 1)];
  if (busy && dot) canvas.put(...dot, '●', look);
}

/** The box-drawing character of a place, from where the way comes and where it goes. */
function lineCharacter(before: Place | undefined, place: Place, after: Place | undefined): string {
  if (!after) return '▼';
  const [, column] = place;
  const comesFrom = before === undefined ? 0 : Math.sign(before[1] - column);
  const goesTo = Math.sign(after[1] - column);
  if (comesFrom === 0 && goesTo === 0) return '│';
  if (comesFrom !== 0 && goesTo !== 0) return '─';
  // From above it turns aside; from the side it turns down.
  if (comesFrom === 0) return goesTo > 0 ? '└' : '┘';
  return comesFrom > 0 ? '┌' : '┐';
}

function down(row: number, column: number): Place[] {
  return [[row, column]];
}

/** The places of one row from one column to another, both included. */
function across(row: number, from: number, to: number): Place[] {
  const step = Math.sign(to - from);
  return Array.from({ length: Math.abs(to - from) + 1 }, (_, index) => [row, from + step * index]);
}
