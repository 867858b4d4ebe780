/** The command `rcopy write`: a host write from the shell. */
import * as Flags from '@oclif/core/flags';
import type { WriteAnswer } from '../src/node/answers.ts';
import { bytesOfFile, bytesOfInput, bytesOfText } from '../src/cli/bytes-in.ts';
import type { BytesIn } from '../src/cli/bytes-in.ts';
import { SetCommand } from '../src/cli/command.ts';
import { pathFlag, setArg, sizeFlag, volumeFlag } from '../src/cli/flags.ts';
import { writeView } from '../src/cli/views.ts';

export default class Write extends SetCommand {
  static override summary = 'Write to a volume as a host would.';
  static override description =
    'The bytes come from --data, from --file or from stdin. They are journaled and numbered, ' +
    'and durable when the command returns. Something long becomes several host requests, one ' +
    'after the other.';

  static override examples = [
    {
      description: 'A few bytes at the start of the only volume',
      command: '<%= config.bin %> write ./tokyo --offset 0 --data hello',
    },
    {
      description: 'A file into one of several volumes',
      command: '<%= config.bin %> write ./tokyo --volume db --offset 1M --file ./block.bin',
    },
    {
      description: 'Whatever another program prints',
      command: 'date | <%= config.bin %> write ./tokyo --offset 4096',
    },
  ];

  static override args = { set: setArg({ description: 'image set to write to' }) };

  static override flags = {
    volume: volumeFlag,
    offset: sizeFlag({ description: 'where the first byte goes', required: true }),
    data: Flags.string({
      description: 'the bytes, as text in UTF-8',
      helpValue: 'TEXT',
    }),
    file: pathFlag({ description: 'file that holds the bytes', exclusive: ['data'] }),
    'no-sync': Flags.boolean({
      description: 'do not wait until they are durable; they will be within 50 ms',
    }),
  };

  async run(): Promise<WriteAnswer> {
    const { args, flags } = await this.parse(Write);
    const { volume, offset } = flags;
    const source = await bytesToWrite(flags.data, flags.file);
    const answer = await this.withSite(flags['lock-wait'], async (site) => {
      const node = await site.open(args.set);
      return node.write({ volume, offset, ...source, sync: !flags['no-sync'] });
    });
    this.print(writeView(answer, await this.paint()));
    return answer;
  }
}

async function bytesToWrite(text: string | undefined, path: string | undefined): Promise<BytesIn> {
  if (text !== undefined) return bytesOfText(text);
  if (path === undefined) return bytesOfInput(process.stdin);
  const { nodeFiles } = await import('../src/sys/node-files.ts');
  return bytesOfFile(nodeFiles, path);
}
