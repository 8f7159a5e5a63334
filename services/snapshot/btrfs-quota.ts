import { readFile } from 'node:fs/promises';
import { run } from '../../shared/run.ts';
import type { Quota, QuotaLook } from './quota.ts';

const LONG = { timeoutMs: 3_600_000 };

/** Use and limit of a subvolume from `btrfs qgroup show -re --raw -f`; undefined when it has no qgroup (btrfs-qgroup(8)). */
export function parseQgroup(text: string): QuotaLook | undefined {
  for (const line of text.split('\n')) {
    const [id = '', referenced, , most] = line.trim().split(/\s+/);
    if (!/^0\/\d+$/.test(id)) continue;
    return {
      used: Number(referenced),
      ...(most !== undefined && /^\d+$/.test(most) ? { limit: Number(most) } : {}),
    };
  }
  return undefined;
}

/** The file system's own number, by which the kernel shows its state below /sys/fs/btrfs. */
async function uuidOf(directory: string): Promise<string> {
  const { stdout } = await run(['btrfs', 'filesystem', 'show', directory]);
  return /uuid: (\S+)/.exec(stdout)?.[1] ?? '';
}

/**
 * Limits by qgroups (btrfs-quota(8)). Full qgroups, not simple ones: those count an extent for the subvolume that wrote it
 * first, so that what came by a move would count for the snapshot that was received (docs/limits.md). They are
 * switched on by the first limit: a host without disk limits pays nothing for them.
 */
export function btrfsQuota(directory: string): Quota {
  let uuid: Promise<string> | undefined;
  const state = async (file: string) => {
    const at = await (uuid ??= uuidOf(directory));
    return (await readFile(`/sys/fs/btrfs/${at}/qgroups/${file}`, 'utf8').catch(() => '')).trim();
  };
  const isOn = async () => (await state('enabled')) === '1';
  /** What a deletion of much at once has put out of order is counted anew, in the background. */
  async function mend(): Promise<boolean> {
    if ((await state('inconsistent')) !== '1') return false;
    await run(['btrfs', 'quota', 'rescan', directory], { okCodes: [0, 1] }); // 1: it runs already
    return true;
  }
  /** Nobody waits for the count of what is there already: until it is done a limit counts too little, and use is not known. */
  async function on(): Promise<void> {
    if (!(await isOn())) await run(['btrfs', 'quota', 'enable', directory], LONG);
  }
  return {
    how: 'qgroup',
    ready: on,
    missing: () => Promise.resolve(undefined),
    async look(tree, exact) {
      if (!(await isOn())) return {};
      if (exact) await run(['btrfs', 'filesystem', 'sync', directory], LONG); // what is not written yet is not counted
      const isStale = await mend();
      const { stdout } = await run(['btrfs', 'qgroup', 'show', '-re', '--raw', '-f', tree]);
      const { used, ...found } = parseQgroup(stdout) ?? {};
      return { ...found, ...(isStale ? {} : { used }) };
    },
    async limit(tree, bytes) {
      if (bytes === null && !(await isOn())) return;
      await on();
      await run(['btrfs', 'qgroup', 'limit', bytes === null ? 'none' : String(bytes), tree], LONG);
    },
    async tidy() {
      if (!(await isOn())) return;
      await mend();
    },
  };
}
