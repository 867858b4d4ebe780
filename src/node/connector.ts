/** How a node reaches another image set: given from above, so that HTTP and folders stay there. */
import type { ByteStream } from '../sys/stream.ts';

export interface Connector {
  /**
   * A stream to the set at `address`, as its user typed it. Rejects with `E_UNREACHABLE`, or with
   * why the set there cannot be opened.
   */
  dial(address: string): Promise<ByteStream>;
}
