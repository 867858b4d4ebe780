/**
 * A primary A and its secondary C, beside a list of what hosts wrote at A: whatever befalls links
 * and machines, what C holds was A's content at one number.
 */
import { RcopyError, isRcopyError } from '../../src/base/errors.ts';
import { submitAndWait } from '../../src/device/device.ts';
import type { ImageSet } from '../../src/imageset/image-set.ts';
import { ensureEpoch } from '../../src/imageset/succession.ts';
import type { Survival } from '../sim/disk.ts';
import { Model } from '../story/model.ts';
import { assertAtLeast, assertSame, assertVolumes } from './asserts.ts';
import { cutAfter } from './cut-after.ts';
import { TINY_JOURNAL, TWO_VOLUMES, pattern, peekAll, rawImages } from './image-sets.ts';
import { A, C, REPLICATE, Sites } from './sites.ts';

export type Site = 'A' | 'C';

export interface HostWrite {
  readonly volume: number;
  readonly offset: number;
  readonly length: number;
  readonly zero: boolean;
}

/** What strikes while A replicates. */
export type Strike =
  | { readonly is: 'nothing' }
  /** The link breaks when so many bytes have come to this site. */
  | { readonly is: 'cut'; readonly at: Site; readonly bytes: number }
  | ({ readonly is: 'crash'; readonly afterMs: number } & Crash);

interface Crash {
  readonly site: Site;
  readonly survival: Survival;
}

/** What befalls the pair. */
export type PairStep =
  | { readonly do: 'write'; readonly writes: readonly HostWrite[] }
  | { readonly do: 'flush' }
  | { readonly do: 'pass'; readonly ms: number }
  /** Hosts write on while A replicates. */
  | { readonly do: 'replicate'; readonly strike: Strike; readonly meanwhile: readonly HostWrite[] }
  | { readonly do: 'restart'; readonly site: Site }
  | ({ readonly do: 'crash' } & Crash);

const FOLDERS = { A, C } as const;

/** What a command may end with when something has struck. */
function isWeather(failure: Error): boolean {
  const { code = '' } = failure as { code?: string };
  return ['E_UNREACHABLE', 'E_STOPPED', 'E_IO', 'ECRASHED'].includes(code);
}

const GONE = new RcopyError('E_STOPPED', 'the machine is gone');

export class PairLife {
  private readonly sites = new Sites({ journal: TINY_JOURNAL, syncMs: 4 });
  private readonly model = new Model(TWO_VOLUMES.map(({ sizeBytes }) => sizeBytes));
  private writes = 0;

  static async begin(): Promise<PairLife> {
    const life = new PairLife();
    const { sites } = life;
    const a = await sites.create(A);
    await sites.create(C);
    await sites.drive(a.createPair({ secondary: C }));
    return life;
  }

  async step(step: PairStep): Promise<void> {
    switch (step.do) {
      case 'write':
        await this.write(step.writes);
        break;
      case 'flush':
        await this.sites.flush(A);
        this.model.flushed = this.model.newest;
        break;
      case 'pass':
        await this.sites.clock.pass(step.ms);
        break;
      case 'replicate':
        await this.replicate(step.strike, step.meanwhile);
        break;
      case 'restart':
        await this.sites.close(FOLDERS[step.site]);
        break;
      case 'crash':
        await this.crash(step);
    }
    await this.check();
  }

  /** Everything comes to rest: both sites hold all that hosts wrote, in their raw images too. */
  async end(): Promise<void> {
    const { sites, model } = this;
    await this.step({ do: 'replicate', strike: { is: 'nothing' }, meanwhile: [] });
    const c = await this.set('C');
    assertSame([c.usable, c.newest], [true, model.newest]);
    await sites.closeAll();
    for (const folder of [A, C]) {
      assertVolumes(rawImages(sites.machine(folder).disk, folder), model.at(model.newest));
    }
  }

  private async set(site: Site): Promise<ImageSet> {
    return (await this.sites.open(FOLDERS[site])).set;
  }

  /** Hosts write one behind the other; what has no room is refused, and is as if it never was. */
  private async write(writes: readonly HostWrite[]): Promise<void> {
    const { sites, model } = this;
    const set = await this.set('A');
    await sites.drive(ensureEpoch(set));
    for (const { volume, offset, length, zero } of writes) {
      this.writes += 1;
      const data = zero ? undefined : pattern(this.writes, length);
      const device = set.volumes[volume];
      if (!device) throw new Error('no such volume');
      const answer = submitAndWait(
        device,
        data
          ? { kind: 'write', offset, length, data: [data], fua: false }
          : { kind: 'zeroes', offset, length, fua: false, mayFree: true },
      );
      const full = await sites.drive(failureOf(answer));
      if (isRcopyError(full, 'E_JOURNAL_FULL')) continue;
      if (full !== undefined) throw full;
      const records = zero ? 1 : Math.ceil(length / TINY_JOURNAL.recordPayloadBytesMax);
      const expected = model.add({ volume, offset, length, data, records });
      const completion = await answer;
      assertSame(completion.ok && completion.sequence, expected);
    }
  }

  private async replicate(strike: Strike, meanwhile: readonly HostWrite[]): Promise<void> {
    const { sites } = this;
    const asked = this.model.newest;
    await this.set('C');
    const node = await sites.open(A);
    if (strike.is === 'cut') {
      const end = strike.at === 'A' ? 0 : 1;
      sites.wrap = (ends) => {
        ends[end] = cutAfter(ends[end], strike.bytes);
      };
    }
    const running = failureOf(node.replicate(REPLICATE));
    if (strike.is === 'crash') {
      await sites.clock.pass(strike.afterMs);
      await this.crash(strike);
    } else if (meanwhile.length > 0) {
      await sites.clock.pass(2);
      await this.write(meanwhile);
    }
    // What a dead machine had under way ends in its own time, or never.
    const died = strike.is === 'crash' && strike.site === 'A';
    const failure = died ? GONE : await sites.drive(running);
    sites.wrap = undefined;
    await sites.clock.pass(50); // both ends hear of what struck
    if (failure === undefined) assertAtLeast((await this.set('C')).newest, asked);
    else if (strike.is === 'nothing' || !isWeather(failure)) throw failure;
  }

  private async crash({ site, survival }: Crash): Promise<void> {
    const a = site === 'C' ? await this.set('A') : undefined;
    const promised = a?.secondary?.durable.sequence ?? 0;
    await this.sites.crash(FOLDERS[site], survival);
    const set = await this.set(site);
    if (site === 'A') this.model.cutBehind(set.newest);
    // What C has acknowledged it has, or A would have trimmed what C lacks.
    else if (set.usable) assertAtLeast(set.newest, promised);
  }

  /** R1, and R3: C holds nothing that A could still lose. */
  private async check(): Promise<void> {
    const [a, c] = [await this.set('A'), await this.set('C')];
    for (const { failure } of [a, c]) if (failure) throw failure;
    if (!c.usable) return;
    const { sequence } = c.feed.position;
    assertAtLeast(a.ownRun()?.durable ?? 0, sequence);
    assertVolumes(peekAll(c), this.model.at(sequence));
  }
}

/** What it rejects with; undefined when it does not. */
function failureOf(work: Promise<unknown>): Promise<Error | undefined> {
  return work.then(
    () => undefined,
    (error: Error) => error,
  );
}
