/**
 * A raw image that qemu-storage-daemon serves over NBD and moves to another file under its hosts:
 * blockdev-mirror, then job-complete, commanded over QMP.
 */
import { createConnection } from 'node:net';
import type { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { serverAt } from './subject.ts';

interface Message {
  readonly event?: string;
  readonly data?: { readonly status?: string; readonly id?: string };
  readonly return?: unknown;
  readonly error?: { readonly desc: string };
}

export class MirroredImage {
  readonly uri: string;
  private readonly folder: string;
  private readonly sizeBytes: number;
  private readonly server: Awaited<ReturnType<typeof serverAt>>;
  private readonly control: Control;
  private moves = 0;

  private constructor(
    folder: string,
    sizeBytes: number,
    server: MirroredImage['server'],
    control: Control,
  ) {
    this.folder = folder;
    this.sizeBytes = sizeBytes;
    this.server = server;
    this.control = control;
    this.uri = `nbd+unix:///volume?socket=${join(folder, 'nbd.sock')}`;
  }

  static async start(folder: string, sizeBytes: number): Promise<MirroredImage> {
    const socket = join(folder, 'nbd.sock');
    const qmp = join(folder, 'qmp.sock');
    const words = [
      `--chardev=socket,path=${qmp},server=on,wait=off,id=qmp`,
      '--monitor=chardev=qmp',
      `--nbd-server=addr.type=unix,addr.path=${socket}`,
    ];
    const server = await serverAt(socket, 'qemu-storage-daemon', words);
    const control = await Control.connect(qmp);
    const image = new MirroredImage(folder, sizeBytes, server, control);
    await image.addNode('node-0');
    const node = { id: 'export', type: 'nbd', name: 'volume', writable: true };
    await control.ask('block-export-add', { ...node, 'node-name': 'node-0' });
    return image;
  }

  /** To a new file; resolves when hosts are on it. */
  async move(): Promise<void> {
    const from = `node-${this.moves}`;
    this.moves += 1;
    const to = `node-${this.moves}`;
    await this.addNode(to);
    const ready = this.control.event('JOB_STATUS_CHANGE', 'ready');
    const job = { 'job-id': 'mirror', device: from, target: to, sync: 'full' };
    await this.control.ask('blockdev-mirror', job);
    await ready;
    const concluded = this.control.event('JOB_STATUS_CHANGE', 'null');
    await this.control.ask('job-complete', { id: 'mirror' });
    await concluded;
  }

  async stop(): Promise<void> {
    this.control.close();
    await this.server.stop();
  }

  private async addNode(name: string): Promise<void> {
    const path = join(this.folder, `${name}.img`);
    writeFileSync(path, '');
    truncateSync(path, this.sizeBytes);
    const file = { driver: 'file', filename: path };
    await this.control.ask('blockdev-add', { driver: 'raw', 'node-name': name, file });
  }
}

/** One line of JSON a message, both ways. */
class Control {
  private readonly socket: Socket;
  private readonly answers: ((message: Message) => void)[] = [];
  private readonly events = new Set<(message: Message) => void>();

  private constructor(socket: Socket) {
    this.socket = socket;
    createInterface({ input: socket }).on('line', (line) => this.take(JSON.parse(line) as Message));
  }

  static async connect(path: string): Promise<Control> {
    const control = new Control(createConnection(path));
    await control.ask('qmp_capabilities', {});
    return control;
  }

  async ask(command: string, words: Readonly<Record<string, unknown>>): Promise<void> {
    const answered = new Promise<Message>((resolve) => void this.answers.push(resolve));
    this.socket.write(`${JSON.stringify({ execute: command, arguments: words })}\n`);
    const { error } = await answered;
    if (error) throw new Error(`qemu-storage-daemon, ${command}: ${error.desc}`);
  }

  event(name: string, status: string): Promise<void> {
    return new Promise((resolve) => {
      const look = ({ event, data }: Message): void => {
        if (event !== name || data?.status !== status) return;
        this.events.delete(look);
        resolve();
      };
      this.events.add(look);
    });
  }

  close(): void {
    this.socket.destroy();
  }

  private take(message: Message): void {
    if (message.event !== undefined) for (const look of this.events) look(message);
    else if ('return' in message || message.error) this.answers.shift()?.(message);
  }
}
