/** A device in memory that answers when a test says so, in the order that it says. */
import type { Completion, DeviceRequest, Done } from '../../src/device/device.ts';
import { MemoryDevice, describeRequest } from './memory-device.ts';

interface Held {
  readonly words: string;
  readonly done: Done;
  readonly completion: Completion;
}

export class HeldDevice extends MemoryDevice {
  /** Requests without an answer. */
  held: Held[] = [];
  /** Answers at once when false. */
  holds = true;

  constructor(sizeBytes: number) {
    super(sizeBytes, true);
  }

  override submit(request: DeviceRequest, done: Done): void {
    if (!this.holds) {
      super.submit(request, done);
      return;
    }
    const words = describeRequest(request);
    this.seen.push(words);
    this.held.push({ words, done, completion: this.perform(request) });
  }

  get waiting(): string[] {
    return this.held.map(({ words }) => words);
  }

  /** Answers the one at `index`, with this if it is given. */
  answer(index = 0, completion?: Completion): void {
    const [held] = this.held.splice(index, 1);
    if (!held) throw new Error(`nothing is held at ${index}`);
    held.done(completion ?? held.completion);
  }

  answerAll(): void {
    while (this.held.length > 0) this.answer();
  }
}
