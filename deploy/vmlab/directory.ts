import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Runs lie here, each in a directory `vslab-vm-...` with all that it has: disks, sockets, logs, pid files. */
export const runsDirectory = (env: NodeJS.ProcessEnv = process.env): string => env['VS_VM_DIR'] || '/var/tmp';
const prefix = 'vslab-vm-';

/** When a process that lives began, in ticks since the boot: with its pid that names one process for good. */
async function beganOf(pid: number): Promise<string | undefined> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8');
    const [state, ...more] = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return state === 'Z' ? undefined : more[18];
  } catch {
    return undefined;
  }
}

/** A directory for a new run, marked with the process that has it. */
export async function openRun(parent = runsDirectory()): Promise<string> {
  await mkdir(parent, { recursive: true });
  const directory = await mkdtemp(join(parent, prefix));
  await writeFile(join(directory, 'owner'), `${process.pid} ${await beganOf(process.pid)}\n`);
  return directory;
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Is this process one of a run? Its command line names the run's directory; a pid alone may be somebody else's by now. */
async function isOf(directory: string, pid: number): Promise<boolean> {
  const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  return line.split('\0').some((word) => word.includes(`${directory}/`) || word === directory);
}

async function end(directory: string, pid: number): Promise<void> {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const)
    for (let tries = 0; tries < 40; tries++) {
      if (!(await isOf(directory, pid))) return;
      if (tries === 0) process.kill(pid, signal);
      await sleep(50);
    }
}

/** Ends all processes of a run, and removes its directory. */
export async function closeRun(directory: string): Promise<void> {
  const names = await readdir(directory).catch(() => [] as string[]);
  await Promise.all(
    names
      .filter((name) => name.endsWith('.pid'))
      .map(async (name) => {
        const pid = Number(await readFile(join(directory, name), 'utf8').catch(() => ''));
        if (pid > 1) await end(directory, pid);
      }),
  );
  await rm(directory, { recursive: true, force: true });
}

/** Removes what runs left whose process is dead; answers their directories. */
export async function sweepRuns(parent = runsDirectory()): Promise<string[]> {
  const dead: string[] = [];
  for (const name of await readdir(parent).catch(() => [] as string[])) {
    if (!name.startsWith(prefix)) continue;
    const directory = join(parent, name);
    const owner = await readFile(join(directory, 'owner'), 'utf8').catch(() => '');
    const [pid = '0', began = ''] = owner.trim().split(' ');
    if (began !== '' && (await beganOf(Number(pid))) === began) continue;
    await closeRun(directory);
    dead.push(directory);
  }
  return dead;
}
