// The pure parts of what is shown: columns, progress, paint, redrawing, any facts.
import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { columns, indented, labelled, padded, widthOf } from '../../src/cli/columns.ts';
import { factsView } from '../../src/cli/facts-view.ts';
import { canRedraw, loadPaint, plainPaint, wantsColor } from '../../src/cli/paint.ts';
import type { Paint } from '../../src/cli/paint.ts';
import { RateMeter, progressText } from '../../src/cli/progress-text.ts';
import { redrawn } from '../../src/cli/redraw.ts';
import { MIB } from '../../src/base/limits.ts';

const red = (text: string): string => `\u001B[31m${text}\u001B[39m`;

describe('columns', () => {
  test('cells stand below each other, painted or not, and no line ends in spaces', () => {
    expect(columns([['a', 'bbb', 'c'], [red('aaa'), 'b', ''], []], ['left', 'right'])).toEqual([
      'a    bbb  c',
      `${red('aaa')}    b`,
      '',
    ]);
  });

  test('a wide character is one, a missing cell is none', () => {
    expect(widthOf(`${red('✓')} ok`)).toBe(4);
    expect(padded('x', 3)).toBe('x  ');
    expect(padded('long', 3)).toBe('long');
  });

  test('empty lines are not indented', () => {
    expect(indented(['a', '', 'b'])).toEqual(['  a', '', '  b']);
  });

  test('all lines of a column begin at the same place', () => {
    const row = fc.tuple(fc.stringMatching(/^[a-z]{0,9}$/), fc.stringMatching(/^[A-Z]{1,9}$/));
    fc.assert(
      fc.property(fc.array(row, { minLength: 1 }), (rows) => {
        const starts = columns(rows).map((line) => line.search(/[A-Z]/));
        expect(new Set(starts).size).toBe(1);
      }),
    );
  });

  test('labels stand before what they name', () => {
    const lines = labelled(
      [
        ['link', 'up'],
        ['journal', '3%'],
      ],
      plainPaint,
    );
    expect(lines).toEqual(['link     up', 'journal  3%']);
  });
});

describe('paint', () => {
  const screen = { isTTY: true };

  test.each([
    ['a terminal', screen, {}, false, true],
    ['a file or pipe', {}, {}, false, false],
    ['NO_COLOR', screen, { NO_COLOR: '1' }, false, false],
    ['an empty NO_COLOR, which is none', screen, { NO_COLOR: '' }, false, true],
    ['--no-color', screen, {}, true, false],
    ['a terminal without colours', screen, { TERM: 'dumb' }, false, false],
  ])('on %s', (_what, where, environment, refused, expected) => {
    expect(wantsColor(where, environment, refused)).toBe(expected);
  });

  test.each([
    ['a terminal', { isTTY: true, columns: 120 }, {}, true],
    ['one that does not say how wide it is', { isTTY: true }, {}, true],
    ['one without any width', { isTTY: true, columns: 0 }, {}, false],
    ['one that cannot', { isTTY: true, columns: 80 }, { TERM: 'dumb' }, false],
    ['a file', { columns: 80 }, {}, false],
  ])('lines are drawn over again on %s', (_what, where, environment, expected) => {
    expect(canRedraw(where, environment)).toBe(expected);
  });

  test('paints in the colours of a terminal, and leaves plain text as it is', async () => {
    const paint = await loadPaint();
    expect(paint.bad('text')).toBe('\u001B[31mtext\u001B[39m');
    for (const look of Object.keys(plainPaint) as (keyof Paint)[]) {
      expect(paint[look]('text')).toContain('text');
      expect(plainPaint[look]('text')).toBe('text');
    }
  });
});

describe('progress', () => {
  const text = (doneBytes: number, totalBytes: number | undefined, rate?: number, width = 100) =>
    progressText({ step: 'copying', doneBytes, totalBytes }, rate, plainPaint, width);

  test('has a bar where the total is known', () => {
    expect(text(0, 64 * MIB)).toBe(`copying ${'─'.repeat(24)}   0%  0 bytes of 64 MiB`);
    expect(text(32 * MIB, 64 * MIB, 8 * MIB)).toBe(
      `copying ${'━'.repeat(12)}${'─'.repeat(12)}  50%  32 MiB of 64 MiB  8 MiB/s  4 s left`,
    );
    expect(text(64 * MIB, 64 * MIB)).toContain(`${'━'.repeat(24)} 100%`);
  });

  test('tells the amount where it is not', () => {
    expect(text(0, undefined)).toBe('copying');
    expect(text(3 * MIB, undefined, MIB)).toBe('copying  3 MiB  1 MiB/s');
    expect(text(3 * MIB, 0)).toBe('copying  3 MiB');
  });

  test('drops from the end what a narrow terminal has no room for', () => {
    expect(text(32 * MIB, 64 * MIB, 8 * MIB, 60)).toMatch(/50% {2}32 MiB of 64 MiB$/);
    expect(text(32 * MIB, 64 * MIB, 8 * MIB, 10)).toMatch(/^copying .* 50%$/);
  });

  test('never says that nothing or less is left, nor more than all is done', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), fc.nat(), (done, total, rate) => {
        const line = text(done, total, rate);
        expect(line).not.toMatch(/NaN|Infinity|-\d/);
        for (const [, percent] of line.matchAll(/(\d+)%/g)) {
          expect(Number(percent)).toBeLessThanOrEqual(100);
        }
      }),
    );
  });

  test('the rate is that of the last seconds', () => {
    const meter = new RateMeter();
    expect(meter.bytesPerSecond()).toBeUndefined();
    meter.add(0, 0);
    meter.add(100, MIB);
    expect(meter.bytesPerSecond()).toBeUndefined();
    for (let second = 1; second <= 20; second++) meter.add(second * 1000, second * MIB);
    expect(meter.bytesPerSecond()).toBe(MIB);
    for (let second = 21; second <= 40; second++) {
      meter.add(second * 1000, 20 * MIB + (second - 20) * 3 * MIB);
    }
    expect(meter.bytesPerSecond()).toBe(3 * MIB);
  });

  test('a step that begins anew has no rate yet', () => {
    const meter = new RateMeter();
    meter.add(0, 0);
    meter.add(1000, MIB);
    meter.add(1100, 10);
    expect(meter.bytesPerSecond()).toBeUndefined();
  });
});

describe('drawing again', () => {
  test('goes over the last lines on a terminal', () => {
    const screen = { isTTY: true };
    expect(redrawn(['a'], true, screen)).toBe('\u001B[2J\u001B[Ha\u001B[K\n\u001B[J');
    expect(redrawn(['a', 'b'], false, screen)).toBe('\u001B[Ha\u001B[K\nb\u001B[K\n\u001B[J');
  });

  test('goes below them elsewhere', () => {
    expect(redrawn(['a'], true, {})).toBe('a\n');
    expect(redrawn(['a'], false, {})).toBe('\na\n');
  });
});

describe('facts', () => {
  test('scalars first, then a group for each part, lists as tables', () => {
    const facts = {
      set: { name: 'tokyo', original: true },
      epoch: 3,
      volumes: [
        { name: 'db', size: 1024 },
        { name: 'logs', size: 64 },
      ],
      mixed: [{ a: { b: 1 } }, 'word'],
      notices: [],
      seal: null,
    };
    expect(factsView(facts, plainPaint)).toEqual([
      'epoch  3',
      'seal   -',
      '',
      'set',
      '  name      tokyo',
      '  original  yes',
      '',
      'volumes',
      '  name  size',
      '  db    1024',
      '  logs    64',
      '',
      'mixed',
      '  a',
      '    b  1',
      '  word',
      '',
      'notices',
      '  none',
    ]);
  });
});
