/** What the commands that start migrations share: their flags, and what comes of them. */
import * as Flags from '@oclif/core/flags';
import type { MigrationCopy, MigrationMode, PrecheckAnswer } from '../node/answers.ts';
import { FailedCheck } from './failure.ts';
import { pathFlag, rateFlag } from './flags.ts';

export const migrateFlags = {
  mode: Flags.option({ options: ['drain', 'handoff', 'bitmap'] as const })({
    summary: 'how the secondary gets what FROM has not sent yet',
    description:
      'drain: FROM sends it itself, while TO already sends what comes after it.\n' +
      'handoff: FROM passes its unsent records to TO, which sends them all.\n' +
      'bitmap: FROM gives a map of the blocks; TO copies these to the secondary, which is not ' +
      'usable until it has them. The only one for a pair that is not `paired`.',
    default: 'drain',
  }),
  copy: Flags.option({ options: ['post', 'pre'] as const })({
    summary: 'when the contents come to TO',
    description:
      'post: after the switch, behind the hosts; what they read comes first.\n' +
      'pre: before it, while FROM serves them; what changes meanwhile comes after.',
    default: 'post',
  }),
  create: Flags.boolean({ default: false, description: 'make TO when there is none' }),
  overwrite: Flags.boolean({
    default: false,
    description: 'give up what TO holds, and give it a fresh identity',
  }),
  'max-rate': rateFlag({ description: 'bytes a second that are copied' }),
  'dry-run': Flags.boolean({
    description: 'only check whether it could start (exit 5 when not)',
  }),
  detach: Flags.boolean({
    default: false,
    description: 'return when TO serves hosts; `migrate resume` does the rest',
  }),
  controller: pathFlag({
    description: 'path controller that has to take part: its hosts follow; may be repeated',
    helpValue: 'CONTROLLER',
    multiple: true,
    multipleNonGreedy: true,
  }),
  force: Flags.boolean({
    default: false,
    description: 'although hosts are connected that will not follow: they are cut off',
  }),
};

/** What the flags come to, but for the controllers, which are asked for their ids first. */
export function migrateHow(flags: {
  readonly mode: MigrationMode;
  readonly copy: MigrationCopy;
  readonly 'max-rate': number | undefined;
  readonly detach: boolean;
  readonly force: boolean;
}) {
  const { mode, copy, detach, force } = flags;
  return { mode, copy, maxRate: flags['max-rate'], detach, force };
}

/** Their ids; undefined when none is named. */
export async function idsOf(
  controllers: readonly string[] | undefined,
  lockWaitMs: number,
): Promise<readonly string[] | undefined> {
  if (controllers === undefined) return undefined;
  const { controllerIds } = await import('../control/controllers.ts');
  const { nodeEnvironment } = await import('../sys/node-environment.ts');
  return controllerIds(nodeEnvironment, controllers, { lockWaitMs });
}

/** The answer, when the migration could start; else it is the failure of the command. */
export function passed(checks: PrecheckAnswer): PrecheckAnswer {
  if (checks.ready) return checks;
  throw new FailedCheck('E_STATE', 'the migration cannot start now', checks);
}
