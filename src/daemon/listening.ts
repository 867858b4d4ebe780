/** Where a daemon listens for commands, and how it is called by those that it tells. */
import { formatAddress, parseAddress } from '../control/addresses.ts';
import type { ControlServer } from '../control/server.ts';
import type { CommonSettings } from './common-settings.ts';

/**
 * Listens where the settings say. Resolves with the address that others are told; undefined when
 * there is nothing to listen at. Rejects with `E_STATE`, `E_NOT_FOUND`, `E_USAGE`, `E_IO`.
 */
export async function listenForCommands(
  control: ControlServer,
  { listen, advertise }: Pick<CommonSettings, 'listen' | 'advertise'>,
): Promise<string | undefined> {
  if (!listen) return undefined;
  const told = advertise === undefined ? undefined : parseAddress(advertise);
  const port = await control.listen(listen, told);
  return advertise ?? formatAddress({ host: listen.host, port });
}
