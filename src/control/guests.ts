/** Counts who uses sets that are open only for that, and tells when the last use is over. */
import type { Clock, Timer } from '../sys/clock.ts';
import type { ByteStream } from '../sys/stream.ts';

export class Guests {
  private readonly clock: Clock;
  private readonly lingerMs: number | undefined;
  private readonly onIdle: (folder: string) => void;
  private readonly counts = new Map<string, number>();
  private readonly timers = new Map<string, Timer>();

  /** `onIdle` is told `lingerMs` after the last use of a folder; never when that is undefined. */
  constructor(clock: Clock, lingerMs: number | undefined, onIdle: (folder: string) => void) {
    this.clock = clock;
    this.lingerMs = lingerMs;
    this.onIdle = onIdle;
  }

  /** The stream, watched until it is closed. */
  watch(stream: ByteStream, folder: string): ByteStream {
    if (this.lingerMs === undefined) return stream;
    return whenClosed(stream, this.use(folder));
  }

  /** The set is used from now on, until what comes back is called. */
  use(folder: string): () => void {
    const { lingerMs } = this;
    if (lingerMs === undefined) return () => undefined;
    this.timers.get(folder)?.cancel();
    this.counts.set(folder, (this.counts.get(folder) ?? 0) + 1);
    return () => {
      const left = (this.counts.get(folder) ?? 1) - 1;
      this.counts.set(folder, left);
      if (left > 0) return;
      this.timers.set(
        folder,
        this.clock.after(lingerMs, () => this.onIdle(folder)),
      );
    };
  }
}

function whenClosed(stream: ByteStream, closed: () => void): ByteStream {
  return {
    peer: stream.peer,
    listen: (listener) =>
      stream.listen({
        data: (chunk) => listener.data(chunk),
        drained: () => listener.drained(),
        closed: (error) => {
          listener.closed(error);
          closed();
        },
      }),
    write: (parts) => stream.write(parts),
    pause: () => stream.pause(),
    resume: () => stream.resume(),
    end: () => stream.end(),
    destroy: (error) => stream.destroy(error),
  };
}
