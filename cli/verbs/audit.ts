import type { Command } from 'commander';
import type { AuditEntry } from '../../shared/contract/audit.ts';
import { VsError } from '../../shared/errors.ts';
import { withClient } from '../client.ts';
import { quoted } from '../names.ts';
import { moment, table } from '../table.ts';

interface Options {
  lines: string;
  user?: string;
  target?: string;
  command?: string;
  json?: boolean;
}
const WIDTH = 80;

/** Columns that together fit 80, the command giving way to the others; without what moves a cursor. */
export function auditTable(entries: AuditEntry[]): string {
  const fit = (text: string, width: number) => {
    const plain = /^[\w./:@ -]*$/.test(text) ? text : JSON.stringify(text);
    return plain.length > width ? `${plain.slice(0, width - 1)}…` : plain;
  };
  const rows = entries.map((one) => [
    moment(one.ts).slice(5),
    fit(one.user, 10),
    fit(one.from.replace(/^::ffff:/, ''), 15),
    fit(one.target, 10),
    one.command,
    fit(one.result, 11),
  ]);
  const headings = ['TIME', 'USER', 'FROM', 'TARGET', 'COMMAND', 'RESULT'];
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...rows.map((row) => (column === 4 ? 0 : (row[column]?.length ?? 0)))),
  );
  const left = WIDTH - widths.reduce((sum, width) => sum + width + 2, -2) + (widths[4] ?? 0);
  return table(
    headings,
    rows.map((row) => row.map((text, column) => (column === 4 ? fit(text, left) : text))),
  );
}

/** `vs audit`: who commanded what, from where, and how it ended; from the files of the broker, through the master. */
export function register(program: Command): void {
  program
    .command('audit')
    .description('who commanded what, from where, and how it ended')
    .option('-n, --lines <number>', 'how many', '50')
    .option('--user <user>', 'of this user only')
    .option('--target <target>', 'to this host, or master, only')
    .option('--command <command>', 'service.command, or one of both')
    .option('--json', 'one JSON object a line, with arguments and messages')
    .addHelpText(
      'after',
      '\nExamples:\n  vs audit -n 20\n  vs audit --user anna --command move\n  vs audit --target host1 --json | jq .args' +
        '\n\nResults: ok, refused, the code of the error, open (it goes on), none (no reply)',
    )
    .action(async ({ lines, json, ...filter }: Options) => {
      const limit = Number(lines);
      if (!(Number.isInteger(limit) && limit >= 1 && limit <= 1000))
        throw new VsError('usage', `--lines is a number from 1 to 1000, not ${quoted(lines)}.`);
      await withClient(async (client) => {
        const { entries } = await client.request('master', 'orchestrator.audit', { limit, ...filter });
        if (json) for (const one of entries) console.log(JSON.stringify(one));
        else console.log(auditTable(entries));
      });
    });
}
