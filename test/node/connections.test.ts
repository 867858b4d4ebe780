/** Connections between nodes: one a peer, however many ask, and none is kept that has ended. */
import { expect, test } from '@jest/globals';
import { encodeJson } from '../../src/link/messages.ts';
import type { Hello } from '../../src/link/messages.ts';
import { Peer } from '../../src/node/peers.ts';
import { A, Sites } from '../support/sites.ts';

const HELLO: Hello = {
  purpose: 'service',
  setId: '99'.repeat(16),
  groupId: '98'.repeat(16),
  name: 'asker',
  address: '/asker',
  bootId: '',
  link: 0,
  pairId: null,
  run: null,
  parentSeal: null,
  carrierSeal: null,
};

test('[R9] many who ask a peer at once share one connection, also after a cut', async () => {
  const sites = new Sites();
  await sites.create(A);
  let dialled = 0;
  const dial = (address: string) => {
    dialled += 1;
    return sites.asker(address);
  };
  const peer = new Peer(A, { dial }, () => HELLO);
  const ask = () => Promise.all(Array.from({ length: 5 }, () => peer.call('facts', null)));
  await sites.drive(ask());
  expect(dialled).toBe(1);
  sites.cutLinks(A);
  await sites.clock.pass(1);
  await sites.drive(ask());
  expect(dialled).toBe(2);
  await sites.drive(peer.close());
  expect((await sites.drive(ask())).length).toBe(5);
  expect(dialled).toBe(3);
});

test('calls that are under way when a connection breaks are told, each of them', async () => {
  const sites = new Sites();
  await sites.create(A);
  const peer = new Peer(A, { dial: (address) => sites.asker(address) }, () => HELLO);
  await sites.drive(peer.call('facts', null));
  const calls = Array.from({ length: 3 }, () => sites.refusal(peer.call('facts', null)));
  sites.cutLinks(A);
  for (const call of calls) expect((await call).code).toBe('E_UNREACHABLE');
});

test('[R9] a node forgets links that have ended', async () => {
  const sites = new Sites();
  const a = await sites.create(A);
  for (let count = 0; count < 40; count += 1) {
    const channel = await sites.asker(A);
    channel.post('hello', [encodeJson(HELLO)]);
    channel.close();
    await sites.clock.pass(1);
  }
  expect(a.linkUsage().asking.count).toBe(0);
});
