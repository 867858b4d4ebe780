/** The command `rcopy inspect journal`: the records, one a line, straight from their files. */
import type { JournalLine } from '../../src/control/inspect-journal.ts';
import { RcopyCommand } from '../../src/cli/command.ts';
import { countFlag, setArg } from '../../src/cli/flags.ts';
import { journalHead, journalRow } from '../../src/cli/journal-view.ts';

const LIMIT_DEFAULT = 100;

export default class InspectJournal extends RcopyCommand {
  static override summary = "List the records of a set's journal, one a line.";
  static override description =
    'Only reads, takes no lock, and says where it can go no further when the journal is damaged.';

  static override examples = [
    '<%= config.bin %> inspect journal ./tokyo',
    '<%= config.bin %> inspect journal ./tokyo --from 1200 --limit 20',
  ];

  static override args = { set: setArg({ description: 'image set to look into' }) };

  static override flags = {
    from: countFlag({ description: 'first sequence number to show', default: 0 }),
    limit: countFlag({ description: 'how many records to show', default: LIMIT_DEFAULT }),
  };

  async run(): Promise<{ records: JournalLine[] }> {
    const { args, flags } = await this.parse(InspectJournal);
    const { inspectJournal } = await import('../../src/control/inspect-journal.ts');
    const { nodeEnvironment } = await import('../../src/sys/node-environment.ts');
    const { from, limit } = flags;
    const paint = await this.paint();
    const records: JournalLine[] = [];
    let file = '';
    for (const record of inspectJournal(nodeEnvironment, args.set, { from, limit })) {
      if (this.jsonEnabled()) records.push(record);
      else if (record.file === file) this.print([journalRow(record, paint)]);
      else this.print([...journalHead(record.file, file === '', paint), journalRow(record, paint)]);
      ({ file } = record);
    }
    if (file === '') this.print(['no records']);
    return { records };
  }
}
