/**
 * A path controller at one set: a link on which the set tells what to do, and an NBD stream for
 * each export, all of one generation. When one of them ends, all do.
 *
 *     dial ─► path.attach ─► NBD streams ─► path.watch, again and again ─► ended
 */
import { RcopyError, isRcopyError, messageOf } from '../base/errors.ts';
import type { ControllerId } from '../base/ids.ts';
import { PeerClient } from '../link/service.ts';
import { NbdClient } from '../nbd/client.ts';
import type { Clock } from '../sys/clock.ts';
import type { Links } from './links.ts';
import type { PathConnector } from './path-connector.ts';
import type { PathWord, ReportCall } from './path-calls.ts';

export interface PathSessionOptions {
  readonly clock: Clock;
  readonly links: Links;
  readonly connector: PathConnector;
  readonly controller: {
    readonly id: ControllerId;
    readonly name: string;
    readonly address: string | null;
  };
  readonly address: string;
  /** The set that is to be there. */
  readonly setId: string;
  readonly generation: number;
  readonly volumes: readonly string[];
  /** The set has said something new. */
  readonly onWord: () => void;
  /** Told once, when nothing of this session can reach the set any more. */
  readonly onEnd: (error: RcopyError) => void;
}

/** What a session tells its set of this controller. */
export type PathReport = Omit<ReportCall, 'controllerId' | 'generation'>;

export class PathSession {
  /** What the set said last; undefined before everything is connected. */
  word: PathWord | undefined;
  /** The volumes at the set, by name. */
  readonly devices = new Map<string, NbdClient>();
  ended: RcopyError | undefined;
  private readonly options: PathSessionOptions;
  private client: PeerClient | undefined;
  private wanted: PathReport | undefined;
  private sent = '';
  private sending = false;

  constructor(options: PathSessionOptions) {
    this.options = options;
  }

  /** Connects and follows the set until the end. Never rejects. */
  async run(): Promise<void> {
    try {
      const client = await this.attach();
      for (const volume of this.options.volumes) await this.connect(volume);
      while (!this.ended) {
        const { value } = await client.call('path.watch', this.speaker);
        this.word = value as PathWord;
        if (!this.ended) this.options.onWord();
      }
    } catch (error) {
      this.end(error);
    }
  }

  /** Opens the NBD stream of one volume. */
  async connect(volume: string): Promise<void> {
    const { connector, clock, address, controller, generation } = this.options;
    const as = { controllerId: controller.id, generation };
    const stream = await connector.dialHosts(address, as);
    const client = await NbdClient.open(stream, {
      clock,
      exportName: volume,
      onEnd: (error) => this.end(error ?? ended(address)),
    });
    if (this.ended) client.destroy(this.ended);
    else this.devices.set(volume, client);
  }

  /** Tells the set how far this controller is, unless it was told just that. */
  report(report: PathReport): void {
    this.wanted = report;
    if (this.client && !this.sending) this.sendReport();
  }

  /** Leaves the set in order: it need not wait for this controller any more. */
  async detach(): Promise<void> {
    if (this.ended || !this.client) return;
    await this.client.call('path.detach', this.speaker).catch(() => undefined);
    this.end(new RcopyError('E_STOPPED', 'the path controller left'));
  }

  /** Ends the link and every stream at once: what is under way fails with `E_UNREACHABLE`. */
  end(error: unknown): void {
    if (this.ended) return;
    const reason = isRcopyError(error)
      ? error
      : new RcopyError('E_INTERNAL', messageOf(error), { cause: error });
    this.ended = reason;
    this.client?.close();
    const gone = new RcopyError('E_UNREACHABLE', reason.message, { cause: reason });
    for (const device of this.devices.values()) device.destroy(gone);
    this.options.onEnd(reason);
  }

  private get speaker() {
    return { controllerId: this.options.controller.id, generation: this.options.generation };
  }

  private async attach(): Promise<PeerClient> {
    const { links, address, controller, setId } = this.options;
    const client = new PeerClient(await links.dial(address), helloOf(controller));
    this.client = client;
    const { name } = controller;
    await client.call('path.attach', {
      ...this.speaker,
      setId,
      name,
      address: controller.address,
    });
    if (this.ended) client.close();
    return client;
  }

  private sendReport(): void {
    const report = { ...this.speaker, ...this.wanted };
    const text = JSON.stringify(report);
    if (!this.client || text === this.sent) return;
    this.sent = text;
    this.sending = true;
    this.client.call('path.report', report).then(
      () => {
        this.sending = false;
        this.sendReport();
      },
      (error: unknown) => this.end(error),
    );
  }
}

/** A controller says hello as one that only asks. */
export function helloOf(controller: PathSessionOptions['controller'], purpose = 'path' as const) {
  return {
    purpose,
    setId: controller.id,
    groupId: '',
    name: controller.name,
    address: controller.address ?? '',
    bootId: '',
    link: 0,
    pairId: null,
    run: null,
    parentSeal: null,
    carrierSeal: null,
  };
}

function ended(address: string): RcopyError {
  return new RcopyError('E_UNREACHABLE', `the stream to ${address} ended`);
}
