/** The command `rcopy adopt`: a copied folder is to be the set from now on. */
import { SetCommand } from '../src/cli/command.ts';
import { setArg } from '../src/cli/flags.ts';

interface AdoptAnswer {
  readonly changed: boolean;
  readonly set: string;
}

export default class Adopt extends SetCommand {
  static override summary = 'Take a copied folder for the image set itself.';
  static override description =
    'A set knows its own files, so that a copy never passes for it. When the original is gone ' +
    'for good, or the files were moved to another disk, this makes the copy the set. Never let ' +
    'both be used: they would be two histories under one name.';

  static override examples = ['<%= config.bin %> adopt /mnt/new-disk/tokyo'];

  static override args = { dir: setArg({ description: 'the copied folder' }) };

  async run(): Promise<AdoptAnswer> {
    const { args, flags } = await this.parse(Adopt);
    await this.withSite(flags['lock-wait'], (site) => site.adopt(args.dir));
    const { good, strong } = await this.paint();
    this.print([`${good('✓')} ${strong(args.dir)} is the image set from now on`]);
    return { changed: true, set: args.dir };
  }
}
