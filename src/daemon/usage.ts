/** The limits of a daemon and how much of each is in use (R9), for status. */
import { OVERLAY_BYTES } from '../base/limits.ts';
import type { NbdServer } from '../nbd/server.ts';
import type { LimitStatus } from '../node/answers.ts';
import type { StorageNode } from '../node/storage-node.ts';

export function limitsOf(node: StorageNode, nbd: NbdServer): LimitStatus[] {
  const { contents, journal } = node.set;
  const { waiting, asking, calls, unacknowledged } = node.linkUsage();
  return [
    { name: 'journalBytes', used: journal.bytes, limit: journal.capacityBytes },
    { name: 'overlayBytes', used: contents.overlay.heldBytes, limit: OVERLAY_BYTES },
    ...nbdLimitsOf(nbd),
    { name: 'linkHandshakes', used: waiting.count, limit: waiting.max },
    { name: 'linksAsking', used: asking.count, limit: asking.max },
    { name: 'linkCalls', used: calls.count, limit: calls.max },
    { name: 'linkBytesUnderWay', used: unacknowledged.count, limit: unacknowledged.max },
  ];
}

/** Those of an NBD server alone. */
export function nbdLimitsOf(nbd: NbdServer): LimitStatus[] {
  const { memory, connections, handshakes } = nbd.usage();
  return [
    { name: 'nbdMemoryBytes', used: memory.usedBytes, limit: memory.limitBytes },
    { name: 'nbdConnections', used: connections.count, limit: connections.limit },
    { name: 'nbdHandshakes', used: handshakes.count, limit: handshakes.limit },
  ];
}
