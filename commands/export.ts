/** The command `rcopy export`: a volume as a raw image file. */
import type { ExportAnswer } from '../src/node/answers.ts';
import { SetCommand } from '../src/cli/command.ts';
import { pathFlag, setArg, volumeFlag } from '../src/cli/flags.ts';
import { exportView } from '../src/cli/views.ts';

export default class Export extends SetCommand {
  static override summary = 'Write a volume out as a raw image file.';
  static override description =
    'The image is synced, and holes stay holes. qemu-img, losetup and dd read it as it is; a ' +
    'file that is there already is replaced.';

  static override examples = [
    '<%= config.bin %> export ./osaka --volume db --output ./db-today.img',
  ];

  static override args = { set: setArg({ description: 'image set to read from' }) };

  static override flags = {
    volume: volumeFlag,
    output: pathFlag({ description: 'image file to write', required: true }),
  };

  async run(): Promise<ExportAnswer> {
    const { args, flags } = await this.parse(Export);
    const { volume, output } = flags;
    const answer = await this.withSite(flags['lock-wait'], (site) =>
      this.withProgress('exporting', async (onProgress) => {
        return site.exportImage(args.set, { volume, file: output, onProgress });
      }),
    );
    this.print(exportView(answer, output, await this.paint()));
    return answer;
  }
}
