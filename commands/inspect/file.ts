/** The command `rcopy inspect file`: any of rcopy's files, annotated byte by byte. */
import type { DumpLine } from '../../src/format/dump.ts';
import { RcopyCommand } from '../../src/cli/command.ts';
import { dumpMore, dumpRow } from '../../src/cli/dump-view.ts';
import { countFlag, offsetFlag, setArg } from '../../src/cli/flags.ts';

const LIMIT_DEFAULT = 500;

export default class InspectFile extends RcopyCommand {
  static override summary = "Show any of rcopy's files, annotated byte by byte.";
  static override description =
    'Journal segments, cursors, maps, set.json and paths.json. Only reads, takes no lock, says ' +
    'on the line of a field what is damaged there, and goes on behind it.';

  static override examples = [
    '<%= config.bin %> inspect file ./tokyo/cursors',
    '<%= config.bin %> inspect file ./tokyo/journal/*01.rcj --from 0x60 --limit 40',
  ];

  static override args = { path: setArg({ description: 'file to look into' }) };

  static override flags = {
    from: offsetFlag({ description: 'first byte to show, as 4096, 4K or 0x1000', default: 0 }),
    limit: countFlag({ description: 'how many lines to show', default: LIMIT_DEFAULT }),
  };

  async run(): Promise<{ file: string; kind: string; fields: DumpLine[]; next: number | null }> {
    const { args, flags } = await this.parse(InspectFile);
    const { inspectFile } = await import('../../src/control/inspect-file.ts');
    const { nodeEnvironment } = await import('../../src/sys/node-environment.ts');
    const paint = await this.paint();
    return inspectFile(nodeEnvironment, args.path, flags.from, ({ file, kind, lines }) => {
      const fields: DumpLine[] = [];
      let left = flags.limit;
      for (const line of lines) {
        if (left <= 0) {
          this.print([dumpMore(line.offset, paint)]);
          return { file, kind, fields, next: line.offset };
        }
        left -= 1;
        if (this.jsonEnabled()) fields.push(line);
        else this.print([dumpRow(line, paint)]);
      }
      return { file, kind, fields, next: null };
    });
  }
}
