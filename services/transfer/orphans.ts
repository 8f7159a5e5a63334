import { readFile, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { applyProgram } from './apply.ts';
import { walkProgram } from './changes.ts';
import { rsyncWire, throughWire } from './rsyncd.ts';
import { sshMark } from './ssh.ts';

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

interface Directories {
  run: string;
  vservers: string;
  /** Of repositories. */
  backups?: string[];
}

/** Is this the command line of a copy of this host: what serves, feeds or reaches an endpoint? */
export function isCopy(argv: string[], directories: Directories): boolean {
  if (argv[0] === 'ssh') return argv.includes(sshMark);
  if (argv.includes(rsyncWire)) return true;
  if (argv.slice(0, 3).some((one) => one.startsWith(join(directories.run, '.transfer-')))) return true; // confine.pl
  if (argv[1] === applyProgram || argv[1] === walkProgram)
    return [directories.vservers, ...(directories.backups ?? [])].some((one) =>
      argv[2]?.startsWith(`${one}/`),
    );
  if (argv[0] !== 'rsync') return false;
  const serves = argv.some((one) => one.startsWith(`--config=${join(directories.run, '.transfer-')}`));
  const to = argv.at(-1) ?? '';
  const copies = to.startsWith('rsync://vs@') || to === throughWire;
  return serves || (copies && argv.at(-2)?.startsWith(`${directories.vservers}/`) === true);
}

/**
 * Ends the copies that a former life of this process left behind, and removes their files. They would go on writing
 * into a tree that a saga believes to be its own. Before this process has begun any copy, all of them are left over.
 */
export async function endOrphans(directories: Directories): Promise<number> {
  const find = async () => {
    const pids: number[] = [];
    for (const entry of await readdir('/proc')) {
      if (!/^\d+$/.test(entry)) continue;
      const text = await readFile(`/proc/${entry}/cmdline`, 'utf8').catch(() => '');
      if (isCopy(text.split('\0').filter(Boolean), directories)) pids.push(Number(entry));
    }
    return pids;
  };
  const first = await find();
  for (let tries = 0; tries < 50; tries++) {
    const pids = tries === 0 ? first : await find();
    if (pids.length === 0) break;
    for (const pid of pids) {
      try {
        process.kill(pid, tries < 20 ? 'SIGTERM' : 'SIGKILL');
      } catch {
        // it has ended meanwhile
      }
    }
    await pause(50);
  }
  for (const entry of await readdir(directories.run).catch(() => []))
    if (entry.startsWith('.transfer-'))
      await rm(join(directories.run, entry), { recursive: true, force: true });
  return first.length;
}
