import { existsSync } from 'node:fs';
import { writeFile, rename } from 'node:fs/promises';
import { VsError } from '../../shared/errors.ts';
import { type Lab, type LabNode, paths } from './model.ts';
import { initOf } from './processes.ts';

/** What gives the services of a node a clock of their own: Debian's package faketime. The guests and the machine keep theirs. */
const libraries = ['x86_64', 'aarch64'].map((cpu) => `/usr/lib/${cpu}-linux-gnu/faketime/libfaketimeMT.so.1`);

/** The library that is preloaded into the services of a lab with clocks. */
export function clockLibrary(): string {
  const found = libraries.find((file) => existsSync(file));
  if (found) return found;
  throw new VsError(
    'failed',
    'A lab with clocks of its own needs the package faketime: apt-get install faketime',
  );
}

/** Sets the clock of a node's services this many seconds beside the machine's; it jumps within a second. */
export async function setClock(lab: Lab, node: LabNode, seconds: number): Promise<void> {
  if (!lab.clocks)
    throw new VsError(
      'refused',
      `The nodes of lab ${lab.name} have the machine's clock. Start one with clocks of its own: vs lab up --name NAME --clocks`,
    );
  if ((await initOf(lab.name, node.name)) === undefined)
    throw new VsError(
      'unavailable',
      `${node.name} of lab ${lab.name} is off. Boot it: vs lab boot ${node.name} --name ${lab.name}`,
    );
  await writeClock(lab, node, seconds);
}

/** The file that the library reads each second: written whole, so that nobody reads half of it. */
export async function writeClock(lab: Lab, node: LabNode, seconds: number): Promise<void> {
  const file = paths(lab.name).clock(node.name);
  await writeFile(`${file}.new`, `${seconds < 0 ? '-' : '+'}${Math.abs(seconds)}\n`);
  await rename(`${file}.new`, file);
}
