import { createInterface } from 'node:readline/promises';
import { VsError } from '../shared/errors.ts';

/** Asks yes or no at the terminal. Throws VsError 'refused' at no, 'usage' when there is no terminal. */
export async function confirm(question: string, verb: string): Promise<void> {
  if (!process.stdin.isTTY)
    throw new VsError('usage', `${verb} asks before it does that, and here is no terminal: give --yes.`);
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await lines.question(`${question} [y/N] `);
  lines.close();
  if (!/^y(es)?$/i.test(answer.trim())) throw new VsError('refused', 'Nothing was done.');
}

/** Throws VsError 'refused' unless this is root. */
export function needRoot(verb: string): void {
  if (process.getuid?.() !== 0)
    throw new VsError('refused', `${verb} writes to /etc/vs-tools and /var/lib/vs-tools: run it as root.`);
}
