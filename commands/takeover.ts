/** The command `rcopy takeover`: the secondary becomes a primary that hosts can use. */
import * as Flags from '@oclif/core/flags';
import type { TakeoverAnswer } from '../src/node/answers.ts';
import { SetCommand } from '../src/cli/command.ts';
import { setArg } from '../src/cli/flags.ts';
import { takeoverView } from '../src/cli/takeover-view.ts';

export default class Takeover extends SetCommand {
  static override aliases = ['promote'];

  static override summary = 'Make a secondary the primary, which hosts can use.';
  static override description =
    'Planned, the old primary answers: it sends everything, is sealed, and nothing is lost. With ' +
    '--force it is not asked, because it is out of reach: the history goes on from what the ' +
    'secondary has, and what the old primary took behind that is lost. Nobody tells the old ' +
    'primary then: hosts must not use it any more.';

  static override examples = [
    {
      description: 'The old primary is to be replaced, and answers',
      command: '<%= config.bin %> takeover ./osaka',
    },
    {
      description: 'The old primary is gone',
      command: '<%= config.bin %> takeover ./osaka --force',
    },
  ];

  static override args = { secondary: setArg({ description: 'set that becomes the primary' }) };

  static override flags = {
    force: Flags.boolean({
      default: false,
      description: 'do not ask the old primary; what it has not sent is lost',
    }),
  };

  async run(): Promise<TakeoverAnswer> {
    const { args, flags } = await this.parse(Takeover);
    const { force } = flags;
    const answer = await this.withSite(flags['lock-wait'], (site) =>
      this.withProgress('taking over', async () =>
        (await site.open(args.secondary)).takeOver({ force }),
      ),
    );
    this.print(takeoverView(answer, args.secondary, await this.paint()));
    return answer;
  }
}
