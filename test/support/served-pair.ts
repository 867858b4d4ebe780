/**
 * Two daemons that are a pair, tokyo and its secondary kyoto, as hosts and operators reach them:
 * over NBD at unix sockets, and at their addresses.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from '@jest/globals';
import type { CompareAnswer, HostStatus, StatusAnswer } from '../../src/node/answers.ts';
import { rcopyJson } from '../commands/harness.ts';
import { DaemonProcess, PathProcess } from './daemons.ts';
import { succeed } from './programs.ts';

/** The size of the volume `db`, unless a test asks for another. */
export const DB_BYTES = 32 * 1024 * 1024;

/** Long enough for anything that a test waits for; a wait ends as soon as it can. */
const PATIENCE_MS = 30_000;
const LOOK_AGAIN_MS = 50;

export class ServedPair {
  readonly scratch = mkdtempSync(join(tmpdir(), 'rcopy-hosts-'));
  private readonly daemons = new Map<string, DaemonProcess | PathProcess>();
  private readonly gates = new Set<string>();
  private readonly dbBytes: number;

  private constructor(dbBytes: number) {
    this.dbBytes = dbBytes;
  }

  /** Both serve, and the secondary has everything; `toml` is what tokyo's `rcopy.toml` says. */
  static async start(toml?: string, dbBytes = DB_BYTES): Promise<ServedPair> {
    const pair = new ServedPair(dbBytes);
    try {
      await pair.make('tokyo', toml);
      await pair.make('kyoto');
      const from = await pair.serve('tokyo');
      const to = await pair.serve('kyoto');
      await rcopyJson('pair', 'create', from, to, '--wait');
    } catch (error) {
      await pair.end();
      throw error;
    }
    return pair;
  }

  /** A path in the folder of all this. */
  at(name: string): string {
    return join(this.scratch, name);
  }

  image(name: string, volume = 'db'): string {
    return join(this.at(name), 'volumes', `${volume}.img`);
  }

  /** A set with the volumes db and log; `toml` is what its `rcopy.toml` says. */
  async make(name: string, toml?: string): Promise<void> {
    const volumes = ['--volume', `db=${this.dbBytes}`, '--volume', 'log=1M'];
    await rcopyJson('create', this.at(name), ...volumes, '--journal-size', '256M');
    if (toml !== undefined) writeFileSync(join(this.at(name), 'rcopy.toml'), toml);
  }

  /** Serves a set to hosts, at the address where it was before, if it was; resolves with that. */
  async serve(name: string): Promise<string> {
    const before = this.daemons.get(name);
    const address = before ? (await before.ready).address : null;
    const listen = address?.replace('rcopy://', '') ?? '127.0.0.1:0';
    const words = ['--listen', listen, '--nbd', `unix:${this.socket(name)}`];
    const daemon = new DaemonProcess(this.at(name), ...words);
    this.daemons.set(name, daemon);
    return String((await daemon.ready).address);
  }

  /** A path controller that leads to the volumes of a set, by their names. */
  async guard(name: string, set: string): Promise<void> {
    await this.serveGate(name);
    for (const volume of ['db', 'log']) {
      const where = [volume, await this.address(set), '--volume', volume];
      await rcopyJson('path', 'add', this.at(name), ...where);
    }
  }

  /** What was killed serves again, at the same places. */
  async restart(name: string): Promise<void> {
    if (this.gates.has(name)) await this.serveGate(name);
    else await this.serve(name);
  }

  private async serveGate(name: string): Promise<void> {
    this.gates.add(name);
    const words = ['--listen', '127.0.0.1:0', '--nbd', `unix:${this.socket(name)}`];
    const gate = new PathProcess(this.at(name), ...words);
    this.daemons.set(name, gate);
    await gate.ready;
  }

  daemon(name: string): DaemonProcess | PathProcess {
    const found = this.daemons.get(name);
    if (!found) throw new Error(`no daemon serves ${name}`);
    return found;
  }

  async address(name: string): Promise<string> {
    return String((await this.daemon(name).ready).address);
  }

  socket(name: string): string {
    return this.at(`${name}.sock`);
  }

  uri(name: string, volume = 'db'): string {
    return `nbd+unix:///${volume}?socket=${this.socket(name)}`;
  }

  async status(name: string): Promise<StatusAnswer> {
    const address = await this.address(name);
    return rcopyJson<StatusAnswer>('status', address);
  }

  /** How much of a limit is in use. */
  async used(name: string, limit: string): Promise<number> {
    const { limits } = await this.status(name);
    const found = limits.find((each) => each.name === limit);
    if (!found) throw new Error(`status tells of no limit ${limit}`);
    return found.used;
  }

  /** Waits until status shows hosts as `wanted`; fails with what it shows instead. */
  async untilHosts(name: string, wanted: (hosts: readonly HostStatus[]) => boolean): Promise<void> {
    let hosts: readonly HostStatus[] = [];
    const look = async (): Promise<boolean> => {
      ({ hosts } = await this.status(name));
      return wanted(hosts);
    };
    await this.until('hosts', look).catch((error: unknown) => {
      throw new Error(`${name} shows ${JSON.stringify(hosts)}`, { cause: error });
    });
  }

  /** Waits until something is so, as long as that takes; fails, by its name, when it never is. */
  async until(name: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
    const end = Date.now() + PATIENCE_MS;
    while (!(await isSo())) {
      if (Date.now() > end) throw new Error(`waited in vain for ${name}`);
      await new Promise((resolve) => void setTimeout(resolve, LOOK_AGAIN_MS));
    }
  }

  /** Ends whatever runs, and removes everything. */
  async end(): Promise<void> {
    await Promise.all([...this.daemons.values()].map((daemon) => daemon.kill()));
    rmSync(this.scratch, { recursive: true, force: true });
  }
}

/**
 * The secondary gets all that is numbered; then it holds what the primary holds: by their own
 * word while both run, and as a host sees the exports.
 */
export async function expectEqual(pair: ServedPair, from = 'tokyo', to = 'kyoto'): Promise<void> {
  const [primary, secondary] = [await pair.address(from), await pair.address(to)];
  await rcopyJson('wait', primary, '--synced', '--timeout', '60s');
  const told = await rcopyJson<CompareAnswer>('verify', primary, '--against', secondary);
  expect(told).toMatchObject({ equal: true, differences: [] });
  const words = ['compare', '-f', 'raw', '-F', 'raw', pair.uri(from), pair.uri(to)];
  await succeed('qemu-img', words, { timeoutMs: PATIENCE_MS });
}

/** `qemu-io` with these commands on an export; all of them must go well. */
export async function qemuIo(uri: string, ...commands: readonly string[]): Promise<void> {
  const words = ['-f', 'raw', '-t', 'none', ...commands.flatMap((command) => ['-c', command])];
  if (commands.every((command) => command.startsWith('read '))) words.push('-r');
  const said = await succeed('qemu-io', [...words, uri], { timeoutMs: PATIENCE_MS });
  expect(said).not.toMatch(/failed|error/i);
}
