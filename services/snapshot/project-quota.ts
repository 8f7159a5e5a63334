import { randomInt } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { type Mount, mountOf } from '../../shared/mount.ts';
import { run } from '../../shared/run.ts';
import type { Quota } from './quota.ts';

const LONG = { timeoutMs: 3_600_000 };
const BLOCK = 1024;

/** Why a mount has no project quota, and what to do; undefined when it has. */
export function whyNoProjects(
  mount: Pick<Mount, 'type' | 'place' | 'options'>,
  hasTools: boolean,
): string | undefined {
  const { type, place } = mount;
  if (type !== 'ext4' && type !== 'xfs')
    return `the file system of ${place} is ${type || 'unknown'}, which has no quota for a directory; btrfs, ext4 and xfs have one`;
  if (!/(^|,)(prjquota|pquota)(,|$)/.test(mount.options))
    return type === 'xfs'
      ? `${place} is xfs and mounted without project quota; mount it with -o prjquota`
      : `${place} is ext4 and mounted without project quota; with a kernel that has it (CONFIG_QFMT_V2): unmount it, tune2fs -O project,quota DEVICE, and mount it with -o prjquota`;
  if (!hasTools) return 'setquota is not installed; apt-get install quota';
  return undefined;
}

/** Use and limit of a project from the line of `repquota -P -n -O csv`; blocks of 1 kB (repquota(8)). */
export function parseProject(text: string, id: number): { used?: number; limit?: number } {
  for (const line of text.split('\n')) {
    const words = line.split(',');
    if (words[0] !== `#${id}`) continue;
    const [, , , used, , hard] = words;
    return {
      used: Number(used) * BLOCK,
      ...(Number(hard) > 0 ? { limit: Number(hard) * BLOCK } : {}),
    };
  }
  return {};
}

/** Limits of plain directories on ext4 and xfs by project quota: one project a tree, its number in the tree's own attributes (chattr(1), setquota(8)). */
export function projectQuota(directory: string): Quota {
  const mount = async () => mountOf(await readFile('/proc/self/mountinfo', 'utf8'), directory);
  const missing = async () =>
    whyNoProjects(await mount(), existsSync('/usr/sbin/setquota') && existsSync('/usr/bin/chattr'));
  /** The project of a tree by its own attribute; 0: none. */
  const projectOf = async (tree: string): Promise<number> => {
    const { stdout } = await run(['lsattr', '-pd', tree], { okCodes: [0, 1] });
    return Number.parseInt(stdout, 10) || 0;
  };
  return {
    how: 'project',
    missing,
    ready: () => Promise.resolve(),
    async look(tree) {
      if (await missing()) return {};
      const id = await projectOf(tree);
      if (id === 0) return {};
      const { stdout } = await run(['repquota', '-P', '-n', '-O', 'csv', (await mount()).place]);
      return parseProject(stdout, id);
    },
    async limit(tree, bytes) {
      if (bytes === null && (await missing())) return;
      let id = await projectOf(tree);
      if (id === 0) {
        if (bytes === null) return;
        id = randomInt(1_000_000, 2 ** 31 - 1); // it stays with the tree, whatever that is called
        // what comes later inherits it from its directory (+P, which no file can have); the tree itself comes last, so that a crash begins anew
        const mark = ['chattr', '-p', String(id)];
        const inside = ['find', tree, '-xdev', '-mindepth', '1', '-type'];
        await run([...inside, 'd', '-exec', ...mark, '+P', '{}', '+'], LONG);
        await run([...inside, 'f', '-exec', ...mark, '{}', '+'], LONG);
        await run([...mark, '+P', tree]);
      }
      const blocks = bytes === null ? 0 : Math.floor(bytes / BLOCK);
      await run(['setquota', '-P', String(id), '0', String(blocks), '0', '0', (await mount()).place]);
    },
    tidy: () => Promise.resolve(),
  };
}
