/** The flags that all daemons have. */
import * as Flags from '@oclif/core/flags';
import { LOG_FORMATS, LOG_LEVELS } from '../daemon/words.ts';
import { pathFlag } from './flags.ts';

export const daemonFlags = {
  advertise: Flags.string({
    description: 'the address that others are told, where it is not the one of --listen',
    helpValue: 'rcopy://HOST:PORT',
  }),
  insecure: Flags.boolean({
    description: 'listen on more than loopback addresses, although there is no TLS',
  }),
  'until-stdin-ends': Flags.boolean({
    description: 'stop in order when standard input ends, as it does when who started this dies',
  }),
  config: pathFlag({ description: 'settings in TOML', helpValue: 'FILE' }),
  'log-level': Flags.option({ options: LOG_LEVELS })({ description: 'least level to log' }),
  'log-format': Flags.option({ options: LOG_FORMATS })({
    description: 'text on a terminal and json elsewhere, unless told',
  }),
};
