/** What networks do to links, by chance: cuts, cuts at any byte, delays, low rates, black holes. */
import { MIB } from '../../src/base/limits.ts';
import { FAIR } from '../support/middleman.ts';
import type { TcpProxy } from '../support/tcp-proxy.ts';
import type { Scene } from './scene.ts';

const BLOWS = ['cut', 'cut at a byte', 'delay', 'low rate', 'black hole'] as const;
const BLOWS_AT_ONCE = 4;
const CUT_AFTER_BYTES_MAX = 2 * MIB;

/** A few blows, one after the other, to any of them; afterwards the network is fair again. */
export async function bother(scene: Scene, proxies: readonly TcpProxy[]): Promise<void> {
  const { random } = scene;
  try {
    for (let left = 1 + random.below(BLOWS_AT_ONCE); left > 0; left -= 1) {
      const proxy = proxies[random.below(proxies.length)];
      const blow = BLOWS[random.below(BLOWS.length)] ?? 'cut';
      if (!proxy) return;
      scene.struck(blow);
      strike(scene, proxy, blow);
      await scene.pause(500);
    }
  } finally {
    for (const proxy of proxies) proxy.change(FAIR);
  }
}

function strike({ random }: Scene, proxy: TcpProxy, blow: (typeof BLOWS)[number]): void {
  switch (blow) {
    case 'cut':
      proxy.cut();
      return;
    case 'cut at a byte':
      // The connection that is up goes, and the next one breaks by itself.
      proxy.cuts.push(random.below(CUT_AFTER_BYTES_MAX));
      proxy.cut();
      return;
    case 'delay':
      proxy.change({ delayMs: random.below(100) });
      return;
    case 'low rate':
      proxy.change({ bytesPerSecond: MIB / 4 + random.below(2 * MIB) });
      return;
    case 'black hole':
      proxy.change({ blackHole: true });
      return;
  }
}
