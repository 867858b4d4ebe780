/** Connections that break at a chosen byte. */
import type { ByteStream, StreamListener } from '../../src/sys/stream.ts';

/**
 * `stream`, which breaks (for both ends) as soon as `bytes` bytes have arrived at this end: exactly
 * so many are delivered. To break it after so many bytes sent, put this around the other end.
 */
export function cutAfter(stream: ByteStream, bytes: number): ByteStream {
  return {
    peer: stream.peer,
    listen: (listener) => {
      stream.listen(cuttingListener(stream, listener, bytes));
      if (bytes === 0) cut(stream);
    },
    write: (parts) => stream.write(parts),
    pause: () => stream.pause(),
    resume: () => stream.resume(),
    end: () => stream.end(),
    destroy: (error) => stream.destroy(error),
  };
}

function cuttingListener(
  stream: ByteStream,
  listener: StreamListener,
  bytes: number,
): StreamListener {
  let left = bytes;
  return {
    data(chunk) {
      const passed = chunk.subarray(0, left);
      left -= passed.length;
      if (passed.length > 0) listener.data(passed);
      if (left === 0) cut(stream);
    },
    closed: (error) => listener.closed(error),
    drained: () => listener.drained(),
  };
}

function cut(stream: ByteStream): void {
  stream.destroy(new Error('the test cut the connection here'));
}
