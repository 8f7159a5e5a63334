import { readFileSync } from 'node:fs';

export interface Proof {
  name: string;
  /** Absent: a figure, which proves nothing. */
  held?: boolean;
  figure: string;
}

/** The table at the end of npm run test:vm. */
export function tableOf(proofs: Proof[]): string {
  const width = Math.max(16, ...proofs.map(({ name }) => name.length));
  const lines = proofs.map(
    ({ name, held, figure }) =>
      `${name.padEnd(width)}  ${held === undefined ? '-  ' : held ? 'yes' : 'NO '}     ${figure}`,
  );
  return [`${'what was proved'.padEnd(width)}  result  figure`, ...lines].join('\n');
}

/** The proofs that were noted, a line of JSON each. */
export const readProofs = (text: string): Proof[] =>
  text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Proof);

if (import.meta.main) {
  const proofs = readProofs(readFileSync(process.argv[2] ?? '/dev/stdin', 'utf8'));
  console.log(`\n${tableOf(proofs)}`);
  const all = proofs.filter(({ held }) => held !== undefined);
  const failed = all.filter(({ held }) => !held).length;
  console.log(`\n${all.length - failed} of ${all.length} held`);
  if (failed > 0 || all.length === 0) process.exitCode = 1;
}
