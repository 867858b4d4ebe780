/** What a server offers. Given from above: the server asks again for each client. */
import type { RcopyError } from '../base/errors.ts';
import type { Device } from '../device/device.ts';

export interface NbdExport {
  /** As clients ask for it; at most 4096 bytes of UTF-8. */
  readonly name: string;
  /** For people; shown by `nbdinfo --list`. May be empty. */
  readonly description: string;
  /** Its size must stay as it is; `readOnly` is what counts when a client comes. */
  readonly device: Device;
}

export interface NbdExports {
  /** What clients may see listed, in order. */
  list(): readonly NbdExport[];
  /**
   * The export that a client names; '' asks for the default one. Undefined when there is none; an
   * error when it may not be used now: its message is shown at the client.
   */
  find(name: string): NbdExport | RcopyError | undefined;
}
