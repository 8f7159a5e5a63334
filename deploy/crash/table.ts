import type { Cell, Outcome, Result } from './cell.ts';

/** How a cell is repeated. */
export function repeatOf(cell: Cell): string {
  const delay = cell.delay === undefined ? '' : ` --delay ${Math.round(cell.delay)}`;
  return `npm run test:crash -- --saga ${cell.saga} --storage ${cell.storage} --victim ${cell.fault} --only '=${cell.row}'${delay}`;
}

/** What stands in a cell of the table after some runs of it: the worst, or what it ended in each time. */
export function mark(results: Pick<Result, 'outcome'>[]): string {
  const all = new Set<Outcome>(results.map((one) => one.outcome));
  if (all.size === 0) return '';
  for (const worst of ['VIOLATION', 'missed'] as const) if (all.has(worst)) return worst;
  return (['done', 'undone', 'stuck'] as const).filter((one) => all.has(one)).join('/');
}

const ROW = 26;
const short = (fault: string): string =>
  fault
    .replace('source', 'src')
    .replace('target', 'tgt')
    .replace('orchestrator', 'orch')
    .replace('master', 'mst');
const width = (fault: string): number => Math.max(9, short(fault).length) + 1;

export const head = (title: string, columns: string[]): string =>
  [title.padEnd(ROW), ...columns.map((fault) => short(fault).padEnd(width(fault)))].join('').trimEnd();
export const rowHead = (row: string): string => row.slice(0, ROW - 1).padEnd(ROW);
export const cellText = (fault: string, results: Pick<Result, 'outcome'>[]): string =>
  mark(results).padEnd(width(fault));

/** The whole table of one saga on one storage. */
export function tableOf(title: string, rows: string[], columns: string[], results: Result[]): string {
  const lines = [head(title, columns)];
  for (const row of rows) {
    const of = (fault: string) => results.filter((one) => one.row === row && one.fault === fault);
    if (columns.every((fault) => of(fault).length === 0)) continue;
    lines.push((rowHead(row) + columns.map((fault) => cellText(fault, of(fault))).join('')).trimEnd());
  }
  return lines.join('\n');
}

/** The closing sentences. */
export function summary(results: Result[], ms: number): string {
  const count = (outcome: Outcome) => results.filter((one) => one.outcome === outcome).length;
  const parts = (['done', 'undone', 'stuck', 'missed', 'VIOLATION'] as const)
    .filter((outcome) => count(outcome) > 0)
    .map((outcome) => `${count(outcome)} ${outcome === 'VIOLATION' ? 'violations' : outcome}`);
  const lines = [
    `${results.length} cells in ${Math.round(ms / 60_000)} minutes: ${parts.join(', ') || 'none'}`,
  ];
  for (const one of results.filter((each) => each.outcome === 'VIOLATION' || each.outcome === 'missed')) {
    lines.push(`${one.outcome} ${one.saga} ${one.storage} "${one.row}" ${one.fault}: ${one.why.join('; ')}`);
    lines.push(`  again: ${repeatOf(one)}`);
  }
  return lines.join('\n');
}
