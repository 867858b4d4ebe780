/** Settings of a path controller: flags before the file, then defaults; mistakes are named. */
import { describe, expect, test } from '@jest/globals';
import { MIB, PATH_HOLD_MS } from '../../src/base/limits.ts';
import { pathSettingsFrom, readPathSettings } from '../../src/daemon/path-settings.ts';

const FILE = `
nbd = "unix:/run/gate.sock"
listen = "127.0.0.1:7080"
hold-limit = "2m"

[limits]
nbd-connections = 5
nbd-memory = "96M"
`;

test('the file says what flags do not', () => {
  const file = readPathSettings(FILE, 'f');
  expect(pathSettingsFrom({ listen: '[::1]:9', 'log-level': 'warn' }, file)).toMatchObject({
    listen: { host: '::1', port: 9 },
    nbd: { kind: 'unix', path: '/run/gate.sock' },
    holdMs: 120_000,
    logLevel: 'warn',
    nbdLimits: { connectionsMax: 5, memoryBytes: 96 * MIB },
  });
  expect(pathSettingsFrom({ 'hold-limit': '1.5s' }, file).holdMs).toBe(1500);
});

test('hosts have a place to connect to; all else has a default', () => {
  const settings = pathSettingsFrom({ nbd: '127.0.0.1:10809' }, {});
  expect(settings).toMatchObject({ listen: undefined, holdMs: PATH_HOLD_MS, logFormat: 'auto' });
});

describe('mistakes', () => {
  test.each([
    ['what only a set has', 'room-wait = "60s"', 'room-wait'],
    ['a wrong type', 'hold-limit = 60', 'hold-limit'],
    ['an unknown limit', '[limits]\nnbd-cats = 3', 'nbd-cats'],
  ])('%s is refused, with the file and the place', (_, text, place) => {
    expect(() => readPathSettings(text, '/srv/rcopy.toml')).toThrow(
      expect.objectContaining({
        code: 'E_USAGE',
        message: expect.stringMatching(new RegExp(`^/srv/rcopy\\.toml: .*${place}`)),
        hint: expect.stringContaining('rcopy path serve --help'),
      }),
    );
  });

  test.each([
    [{}, '--nbd'],
    [{ nbd: '0.0.0.0:10809' }, 'nbd'],
    [{ nbd: 'unix:/x', listen: '0.0.0.0:7080' }, 'listen'],
    [{ nbd: 'unix:/x', advertise: 'gate:7080' }, 'advertise'],
    [{ nbd: 'unix:/x', 'hold-limit': '0' }, 'hold-limit'],
    [{ nbd: 'unix:/x', 'hold-limit': '60' }, 'hold-limit'],
  ])('%j is refused, by name', (flags, name) => {
    expect(() => pathSettingsFrom(flags, {})).toThrow(
      expect.objectContaining({ code: 'E_USAGE', message: expect.stringContaining(name) }),
    );
  });
});
