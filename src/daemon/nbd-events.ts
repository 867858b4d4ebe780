/** What hosts do, as lines of the log. */
import type { NbdEvent } from '../nbd/server.ts';
import type { Log } from './log.ts';

export function logNbdEvent(log: Log, event: NbdEvent): void {
  const { kind, peer } = event;
  switch (kind) {
    case 'refused':
      log.warn({ peer, reason: event.reason }, 'host refused');
      break;
    case 'connected':
      log.info({ peer, export: event.export, readOnly: event.readOnly }, 'host connected');
      break;
    case 'disconnected': {
      const { export: name, error } = event;
      // Whoever went before it chose an export only looked.
      if (name === undefined) log.debug({ peer, reason: error?.message }, 'client gone');
      else if (error) log.warn({ peer, export: name, reason: error.message }, 'host cut off');
      else log.info({ peer, export: name }, 'host gone');
    }
  }
}
