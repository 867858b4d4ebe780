/** The command `rcopy import`: an existing raw image becomes a volume's content. */
import type { ImportAnswer } from '../src/node/answers.ts';
import { SetCommand } from '../src/cli/command.ts';
import { pathFlag, setArg, volumeFlag } from '../src/cli/flags.ts';
import { importView } from '../src/cli/views.ts';

export default class Import extends SetCommand {
  static override summary = 'Bring an existing raw image into a volume.';
  static override description =
    'The image is written as host writes, so that a pair follows; its holes stay holes, and ' +
    'what it leaves of the volume becomes zeroes. It may be smaller than the volume, not ' +
    'larger.';

  static override examples = ['<%= config.bin %> import ./tokyo --volume db --file ./old-disk.img'];

  static override args = { set: setArg({ description: 'image set to write to' }) };

  static override flags = {
    volume: volumeFlag,
    file: pathFlag({ description: 'raw image to read', required: true }),
  };

  async run(): Promise<ImportAnswer> {
    const { args, flags } = await this.parse(Import);
    const { volume, file } = flags;
    const answer = await this.withSite(flags['lock-wait'], (site) =>
      this.withProgress('importing', async (onProgress) => {
        return site.importImage(args.set, { volume, file, onProgress });
      }),
    );
    this.print(importView(answer, file, await this.paint()));
    return answer;
  }
}
