/** The command `rcopy verify`: reads everything, and says whether it is sound or the same. */
import type { CompareAnswer, VerifyAnswer } from '../src/node/answers.ts';
import { SetCommand } from '../src/cli/command.ts';
import { FailedCheck } from '../src/cli/failure.ts';
import { pathFlag, setArg } from '../src/cli/flags.ts';
import { counted } from '../src/base/sizes.ts';
import { compareView, verifyView } from '../src/cli/verify-view.ts';

export default class Verify extends SetCommand {
  static override summary = 'Read everything and check it, or compare it with another set.';
  static override description =
    'Checks set.json, the cursors, the maps, the whole journal (headers, checksums, the chain, ' +
    'the dense numbers), and the images against the journal. With --against, compares all ' +
    'contents with those of another set as of one sequence number. Whatever is found is listed, ' +
    'and the command exits with 6.';

  static override examples = [
    '<%= config.bin %> verify ./tokyo',
    '<%= config.bin %> verify ./tokyo --against ./osaka',
  ];

  static override args = { set: setArg({ description: 'set to check' }) };

  static override flags = {
    against: pathFlag({ description: 'set to compare it with', helpValue: 'SET' }),
  };

  async run(): Promise<VerifyAnswer | CompareAnswer> {
    const { args, flags } = await this.parse(Verify);
    const { against } = flags;
    return this.withSite(flags['lock-wait'], async (site) => {
      const node = await site.open(args.set);
      if (against === undefined) {
        return this.checked(
          await this.withProgress('reading everything', () => node.verify()),
          args.set,
        );
      }
      await site.open(against);
      return this.compared(
        await this.withProgress('comparing', () => node.verifyAgainst(against)),
        args.set,
        against,
      );
    });
  }

  private async checked(answer: VerifyAnswer, set: string): Promise<VerifyAnswer> {
    this.print(verifyView(answer, set, await this.paint()));
    if (answer.ok) return answer;
    const found = counted(answer.findings.length, 'finding');
    throw new FailedCheck('E_DAMAGED', `verify: ${set} is damaged: ${found}`, answer);
  }

  private async compared(
    answer: CompareAnswer,
    set: string,
    other: string,
  ): Promise<CompareAnswer> {
    this.print(compareView(answer, set, other, await this.paint()));
    if (answer.equal) return answer;
    const found = counted(answer.differences.length, 'range');
    const message = `verify: ${set} and ${other} differ in ${found}`;
    throw new FailedCheck('E_DIFFERENT', message, answer);
  }
}
