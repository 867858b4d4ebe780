/**
 * The demo's picture: host, path controller, A, B, C, and what moves between them. Pure: a scene
 * in, lines out, so that every moment of it can be looked at in a test.
 */
import type { Paint } from '../paint.ts';
import { counted, formatCount, formatSize } from '../../base/sizes.ts';

/** Columns and lines that the picture takes. */
export const PICTURE_COLUMNS = 76;
export const PICTURE_LINES = 20;

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

/** The path controller. */
export interface GateScene {
  /** Of the way to the set, as it says itself; empty before it is there. */
  readonly state: string;
  /** Requests of the host that wait there. */
  readonly waiting: number;
  readonly connections: number;
  /** Which set takes the host's commands; `held`: none for a moment. */
  readonly leadsTo: 'a' | 'b' | 'held' | 'nowhere';
}

/** One moment. */
export interface Scene {
  readonly host: {
    readonly writes: number;
    readonly bytes: number;
  };
  readonly gate: GateScene;
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
/** The rows at which the boxes begin. */
const GATE_ROW = 4;
const SET_ROW = 9;
const C_ROW = 16;
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
  drawGate(canvas, scene, tick);
  drawBox(canvas, SET_ROW, LEFT, scene.a);
  drawBox(canvas, SET_ROW, RIGHT, scene.b);
  drawBox(canvas, C_ROW, MIDDLE, scene.c);
  drawFetch(canvas, scene, tick);
  if (scene.sendingA !== undefined) {
    drawSending(
      canvas,
      { line: LEFT_LINE, end: C_FROM_A, alive: scene.a.alive },
      tick,
      scene.sendingA,
    );
    canvas.put(SET_ROW + 4, LEFT_LINE + 2, toSend(scene.sendingA), 'faint');
  }
  if (scene.sendingB !== undefined) {
    drawSending(
      canvas,
      { line: RIGHT_LINE, end: C_FROM_B, alive: scene.b.alive },
      tick,
      scene.sendingB,
    );
    const text = toSend(scene.sendingB);
    canvas.put(SET_ROW + 4, RIGHT_LINE - 1 - text.length, text, 'faint');
  }
  return canvas.lines(paint);
}

interface Sender {
  /** The columns where its way leaves its box, and where it comes down on C. */
  readonly line: number;
  readonly end: number;
  readonly alive: boolean;
}

function drawSending(canvas: Canvas, sender: Sender, tick: number, numbers: number): void {
  const { line, end, alive } = sender;
  canvas.put(SET_ROW + 3, line, '┬', alive ? 'plain' : 'faint');
  const way = [...down(SET_ROW + 4, line), ...across(SET_ROW + 5, line, end)];
  drawWay(canvas, [...way, [C_ROW - 1, end]], tick, numbers > 0);
}

function toSend(numbers: number): string {
  return numbers === 0 ? 'all sent' : `${formatCount(numbers)} to send`;
}

function drawHost(canvas: Canvas, { host }: Scene): void {
  drawFrame(canvas, 0, MIDDLE, 'host', 1, true);
  drawInside(canvas, 1, MIDDLE, 'writes', formatCount(host.writes), 'strong');
  canvas.put(1, MIDDLE + BOX_COLUMNS + 1, formatSize(host.bytes), 'faint');
}

/** The controller, the host's way to it, and its way to the set. */
function drawGate(canvas: Canvas, { gate }: Scene, tick: number): void {
  const { state, waiting, connections, leadsTo } = gate;
  const isThere = state !== '';
  drawFrame(canvas, GATE_ROW, MIDDLE, 'path controller', 1, isThere);
  if (!isThere) return;
  const busy = leadsTo !== 'nowhere' && leadsTo !== 'held';
  drawInside(
    canvas,
    GATE_ROW + 1,
    MIDDLE,
    state,
    waiting === 0 ? '' : `${waiting} waiting`,
    'plain',
  );
  if (connections > 0) {
    const column = MIDDLE + BOX_COLUMNS + 1;
    canvas.put(GATE_ROW + 1, column, counted(connections, 'connection'), 'faint');
    canvas.put(GATE_ROW - 2, MIDDLE_LINE, '┬');
    drawWay(canvas, [[GATE_ROW - 1, MIDDLE_LINE]], tick, busy);
  }
  if (leadsTo === 'nowhere') return;
  canvas.put(GATE_ROW + 2, MIDDLE_LINE, '┬');
  if (leadsTo === 'held') {
    canvas.put(GATE_ROW + 3, MIDDLE_LINE, '│', 'warning');
    canvas.put(GATE_ROW + 4, MIDDLE_LINE - 2, 'waits', 'warning');
    return;
  }
  const line = leadsTo === 'a' ? LEFT_LINE : RIGHT_LINE;
  const way = across(GATE_ROW + 3, MIDDLE_LINE, line);
  drawWay(canvas, [...way, [SET_ROW - 1, line]], tick, true);
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

function drawFetch(canvas: Canvas, { fetching }: Scene, tick: number): void {
  if (!fetching) return;
  const from = LEFT + BOX_COLUMNS + 1;
  const columns = RIGHT - from - 1;
  const { doneBytes, totalBytes } = fetching;
  const share = totalBytes === 0 ? 1 : Math.min(1, doneBytes / totalBytes);
  const busy = share < 1;
  canvas.put(SET_ROW + 1, from, `${'─'.repeat(columns - 1)}▶`, busy ? 'accent' : 'faint');
  if (busy) canvas.put(SET_ROW + 1, from + (tick % (columns - 1)), '●', 'accent');
  const bar = columns - 5;
  const full = Math.floor(share * bar);
  canvas.put(SET_ROW + 2, from, '━'.repeat(full), 'accent');
  canvas.put(SET_ROW + 2, from + full, '─'.repeat(bar - full), 'faint');
  canvas.put(SET_ROW + 2, from + bar, `${Math.floor(share * 100)}%`.padStart(5), 'plain');
}

/** A way that ends in an arrow head; where something moves, a dot goes along it. */
function drawWay(canvas: Canvas, way: readonly Place[], tick: number, busy: boolean): void {
  const look = busy ? 'accent' : 'faint';
  for (const [index, place] of way.entries()) {
    canvas.put(...place, lineCharacter(way[index - 1], place, way[index + 1]), look);
  }
  const dot = way[tick % Math.max(1, way.length - 1)];
  if (busy && dot && way.length > 1) canvas.put(...dot, '●', look);
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
