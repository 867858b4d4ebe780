/** Addresses of daemons as people type them. */
import { expect, test } from '@jest/globals';
import {
  formatAddress,
  isAddress,
  meansAddress,
  parseAddress,
  refuseAddress,
} from '../../src/control/addresses.ts';

test.each([
  ['rcopy://127.0.0.1:7070', '127.0.0.1', 7070],
  ['rcopy://tokyo.example:1/', 'tokyo.example', 1],
  ['rcopy://[::1]:65535', '::1', 65_535],
  ['RCOPY://[fe80::1]:7', 'fe80::1', 7],
])('%s is an address', (text, host, port) => {
  expect(isAddress(text)).toBe(true);
  expect(parseAddress(text)).toEqual({ host, port });
  expect(parseAddress(formatAddress({ host, port }))).toEqual({ host, port });
});

test.each([
  'rcopy://tokyo',
  'rcopy://:7070',
  'rcopy://tokyo:0',
  'rcopy://tokyo:65536',
  'rcopy://tokyo:7070/set',
  'rcopy://::1:7070',
  'nbd://tokyo:10809',
])('%s is refused, with the form that is right', (text) => {
  expect(isAddress(text)).toBe(true);
  expect(() => parseAddress(text)).toThrow(expect.objectContaining({ code: 'E_USAGE' }));
});

test.each(['./tokyo', '/srv/tokyo', 'tokyo', 'a:b'])('%s is a folder', (text) => {
  expect(isAddress(text)).toBe(false);
});

test.each([
  ['127.0.0.1:7070', true],
  ['tokyo.example:7070', true],
  ['[::1]:7070', true],
  ['tokyo', false],
  ['./tokyo:7070', false],
  ['a:b', false],
])('%s means an address: %s', (text, means) => {
  expect(meansAddress(text)).toBe(means);
});

test('what reads files says so to an address, and takes any folder', () => {
  expect(() => refuseAddress('rcopy://tokyo:7070')).toThrow(
    expect.objectContaining({ code: 'E_USAGE', message: expect.stringContaining('files') }),
  );
  expect(() => refuseAddress('./tokyo')).not.toThrow();
});
