/** Settings of a daemon: flags before the file, then defaults; mistakes are named. */
import { describe, expect, test } from '@jest/globals';
import { readSettings, settingsFrom } from '../../src/daemon/settings.ts';
import { MIB } from '../../src/base/limits.ts';

const FILE = `
listen = "127.0.0.1:7070"
nbd = "unix:/run/tokyo.sock"
max-rate = "20M"
ack-timeout = "3s"
log-level = "warn"

[limits]
nbd-connections = 5
nbd-memory = "96M"
`;

test('the file says what flags do not', () => {
  const settings = settingsFrom({ listen: '[::1]:9', 'room-wait': '2m' }, readSettings(FILE, 'f'));
  expect(settings).toMatchObject({
    listen: { host: '::1', port: 9 },
    nbd: { kind: 'unix', path: '/run/tokyo.sock' },
    maxRate: 20 * MIB,
    ackTimeoutMs: 3000,
    roomWaitMs: 120_000,
    logLevel: 'warn',
    logFormat: 'auto',
    nbdLimits: { connectionsMax: 5, memoryBytes: 96 * MIB },
  });
});

test('without any there is neither a listener nor an export', () => {
  const settings = settingsFrom({}, {});
  expect(settings).toMatchObject({ listen: undefined, nbd: undefined, logLevel: 'info' });
});

describe('mistakes', () => {
  test.each([
    ['an unknown name', 'lissten = "127.0.0.1:1"', 'lissten'],
    ['a wrong type', 'listen = 7070', 'listen'],
    ['an unknown limit', '[limits]\nnbd-cats = 3', 'nbd-cats'],
    ['no TOML at all', '\nlisten: 7070', 'Invalid TOML'],
  ])('%s is refused, with the file and the place', (_, text, place) => {
    expect(() => readSettings(text, '/srv/rcopy.toml')).toThrow(
      expect.objectContaining({
        code: 'E_USAGE',
        message: expect.stringMatching(new RegExp(`^/srv/rcopy\\.toml(, line 2)?: .*${place}`)),
      }),
    );
  });

  test.each([
    [{ listen: '0.0.0.0:7070' }, 'listen'],
    [{ nbd: '[::]:10809' }, 'nbd'],
    [{ nbd: 'tokyo.example:10809' }, 'nbd'],
    [{ nbd: '127.tokyo.example:10809' }, 'nbd'],
  ])('%j needs --insecure, since there is no TLS', (flags, name) => {
    expect(() => settingsFrom(flags, {})).toThrow(expect.objectContaining({ code: 'E_USAGE' }));
    expect(settingsFrom({ ...flags, insecure: true }, {})).toHaveProperty([name]);
  });

  test.each([
    [{ listen: 'unix:/tmp/x' }, 'listen'],
    [{ advertise: 'tokyo:7070' }, 'advertise'],
    [{ 'max-rate': 'fast' }, 'max-rate'],
    [{ 'ack-timeout': '10' }, 'ack-timeout'],
  ])('%j is refused, by name', (flags, name) => {
    expect(() => settingsFrom(flags, {})).toThrow(
      expect.objectContaining({ code: 'E_USAGE', message: expect.stringContaining(name) }),
    );
  });

  test.each([
    [{ listen: '7070' }, 'HOST:PORT, such as 127.0.0.1:7070'],
    [{ listen: 'unix:/tmp/x' }, 'HOST:PORT, such as 127.0.0.1:7070'],
    [{ nbd: '/run/tokyo.sock' }, 'write unix:/run/tokyo.sock'],
  ])('%j is refused with what may have been meant', (flags, hint) => {
    expect(() => settingsFrom(flags, {})).toThrow(
      expect.objectContaining({ code: 'E_USAGE', hint: expect.stringContaining(hint) }),
    );
  });

  test('a limit of the file is named', () => {
    expect(() => settingsFrom({}, { limits: { 'nbd-memory': 'lots' } })).toThrow(
      expect.objectContaining({
        code: 'E_USAGE',
        message: expect.stringMatching(/^limits\.nbd-memory: /),
      }),
    );
  });
});
