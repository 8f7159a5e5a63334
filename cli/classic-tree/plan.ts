import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readOptional, withoutComment } from '../../config/lines.ts';
import { VsError } from '../../shared/errors.ts';
import { classicFiles } from './settings.ts';
import { type ClassicVserver, commandsFor, readClassic, readerOf } from './vserver.ts';

export interface Plan {
  /** Files that are written. */
  writes: { path: string; text: string }[];
  /** What a person is told of each file and vserver. */
  lines: string[];
  /** What nobody could read: nothing of that is written. */
  faults: string[];
  /** What to do then, by vserver. */
  next: string[][];
}

const saysNothing = (text: string): boolean =>
  text.split('\n').every((line) => withoutComment(line).trim() === '');
const sentence = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** One file: converted and judged; a sentence where it has faults. */
function judged(
  file: string,
  from: string,
  text: string,
): { text: string; notes: string[] } | { fault: string } {
  const { convert, check } = classicFiles[file] ?? {};
  if (!convert || !check) return { fault: `${from}: nothing is known of ${file}` };
  try {
    const converted = convert(text);
    check(converted.text, from);
    return converted;
  } catch (error) {
    return { fault: sentence(error) };
  }
}

/** What the trees below `directory` (etc/vs-tools, etc/vservers) become in `configDir`. Throws VsError 'not-found' when there is neither. */
export async function planImport(directory: string, configDir: string): Promise<Plan> {
  const plan: Plan = { writes: [], lines: [], faults: [], next: [] };
  const settings = join(directory, 'etc/vs-tools');
  const vservers = join(directory, 'etc/vservers');
  const names = await readdir(vservers, { withFileTypes: true }).catch(() => undefined);
  const files = await readdir(settings).catch(() => undefined);
  if (!names && !files)
    throw new VsError(
      'not-found',
      `${directory} has neither etc/vs-tools nor etc/vservers: name the directory that holds the etc/ of the old machine, such as / or a copy of it.`,
    );
  for (const file of Object.keys(classicFiles)) {
    const from = join(settings, file);
    const to = join(configDir, file);
    const text = await readOptional(from);
    if (saysNothing(text) || from === to) continue;
    const found = judged(file, from, text);
    if ('fault' in found) {
      plan.faults.push(found.fault);
      continue;
    }
    const kept = !saysNothing(await readOptional(to));
    if (!kept) plan.writes.push({ path: to, text: found.text });
    plan.lines.push(`${from} -> ${kept ? `nothing: ${to} says something already, and stays` : to}`);
    plan.lines.push(...found.notes.map((note) => `  ${note}`));
  }
  for (const entry of names ?? []) {
    if (!entry.isDirectory() || entry.name.startsWith('.')) continue;
    const at = join(vservers, entry.name);
    try {
      const inside = await readdir(join(at, 'interfaces'), { withFileTypes: true }).catch(() => []);
      const interfaces = inside.filter((one) => one.isDirectory()).map((one) => one.name);
      planVserver(plan, await readClassic(entry.name, readerOf(at), interfaces), { at, configDir });
    } catch (error) {
      plan.faults.push(`${at}: ${sentence(error)}`);
    }
  }
  return plan;
}

function planVserver(plan: Plan, one: ClassicVserver, where: { at: string; configDir: string }): void {
  const kept: { firewall?: string; monitor?: string } = {};
  for (const which of ['firewall', 'monitor'] as const) {
    if (saysNothing(one[which])) continue;
    const found = judged(`${which}.conf`, `${where.at}/${which}.conf`, one[which]);
    if ('fault' in found) {
      plan.faults.push(found.fault);
      continue;
    }
    kept[which] = join(where.configDir, 'classic', one.name, `${which}.conf`);
    plan.writes.push({ path: kept[which], text: found.text });
  }
  const limits = one.limits.map((pair) => pair.join(' ')).join(' ');
  plan.lines.push(
    `${where.at} -> ${one.name} ${[one.address, ...one.more].join(', ')}${one.enabled ? ', starts at boot' : ''}${limits ? `, ${limits}` : ''}`,
    ...Object.values(kept).map((path) => `  ${path}`),
  );
  plan.next.push(commandsFor(one, kept));
}
