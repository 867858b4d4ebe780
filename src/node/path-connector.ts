/** How a path controller reaches image sets: given from above, so that HTTP stays there. */
import type { ByteStream } from '../sys/stream.ts';
import type { Connector } from './connector.ts';

export interface PathConnector extends Connector {
  /**
   * An NBD stream to the set at `address`, attached under an id and a generation. Rejects with
   * `E_UNREACHABLE`, or with the set's refusal.
   */
  dialHosts(
    address: string,
    as: { readonly controllerId: string; readonly generation: number },
  ): Promise<ByteStream>;
}
