import { readlink, writeFile } from 'node:fs/promises';
import { VsError } from '../../shared/errors.ts';
import { RunError, run } from '../../shared/run.ts';
import { hashOf } from './sources.ts';

/** What the rules in a namespace were made of: an empty chain of their table is called so. */
export interface Loaded {
  /** Of the files. */
  mark: string;
  /** Of the rules themselves. */
  rules: string;
}
const short = (hash: string) => hash.slice(0, 16);

/** The compiled rules with their name tag; nothing stays nothing. */
export function withTag(rules: string, mark: string): string {
  if (!rules) return '';
  return `${rules}table inet vs {\n  chain made_${short(mark)}_${short(hashOf(rules))} {\n  }\n}\n`;
}
const tag = /\bchain made_([0-9a-f]{16})_([0-9a-f]{16}) \{/;
export function tagOf(text: string): Loaded | undefined {
  const [, mark, rules] = tag.exec(text) ?? [];
  return mark && rules ? { mark, rules } : undefined;
}
export const isOf = (loaded: Loaded | undefined, mark: string): boolean => loaded?.mark === short(mark);

/** An nft in the network namespace of an init. Throws VsError 'failed' when that is the host's own: the pid is another's by now. */
async function inside(pid: number, nft: string[], input?: string) {
  const [own, other] = await Promise.all([
    readlink('/proc/self/ns/net'),
    readlink(`/proc/${pid}/ns/net`).catch(() => undefined),
  ]);
  if (other === undefined || other === own)
    throw new VsError('failed', `process ${pid} is no vserver any more`, { retryable: true });
  const argv = ['nsenter', '-t', String(pid), '-n', 'nft', ...nft];
  return run(argv, input === undefined ? {} : { input });
}

/** What is in force in a namespace: false when nothing is, undefined in `tag` for rules of an older version. */
export async function lookInto(pid: number): Promise<{ tag: Loaded | undefined } | false> {
  const { stdout } = await inside(pid, ['list', 'chains', 'inet']);
  return /\btable inet vs \{/.test(stdout) ? { tag: tagOf(stdout) } : false;
}

/** Loads rules in one transaction, with what may follow in it; none takes away what is there. */
export async function load(pid: number, rules: string, more = ''): Promise<void> {
  await inside(pid, ['-f', '-'], rules ? `${rules}${more}` : 'table inet vs\ndelete table inet vs\n');
}

/** What this kernel itself says against rules, in a namespace that is gone at once; undefined: it would take them. */
export async function refusalOf(rules: string): Promise<string | undefined> {
  if (!rules) return undefined;
  try {
    await run(['unshare', '-n', 'nft', '-c', '-f', '-'], { input: rules });
    return undefined;
  } catch (error) {
    return error instanceof RunError ? error.stderr.slice(0, 300) || error.message : String(error);
  }
}

/** Which network namespace it is, for as long as it lives. */
export const namespaceOf = (pid: number): Promise<string> => readlink(`/proc/${pid}/ns/net`);

/** The rules of a namespace as nft tells them in JSON, without what their sets hold. */
export const listRules = async (pid: number): Promise<string> =>
  (await inside(pid, ['-j', '-t', 'list', 'table', 'inet', 'vs'])).stdout;

const ALL_NAMESPACES = '/proc/sys/net/netfilter/nf_log_all_netns';
/** Lets the kernel log what is denied in other network namespaces than the host's first; false where that cannot be said. */
export const logAll = (): Promise<boolean> =>
  writeFile(ALL_NAMESPACES, '1\n').then(
    () => true,
    () => false,
  );
