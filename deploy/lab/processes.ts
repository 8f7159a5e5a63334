import { readdir, readFile, readlink, rmdir, stat, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { isPart, namespaceFile, paths } from './model.ts';

/** The pids of all processes of the machine. */
async function pids(): Promise<number[]> {
  return (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry)).map(Number);
}

const textOf = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '');
const linkOf = (path: string): Promise<string> => readlink(path).catch(() => '');

/** The names of the network namespaces of a lab. */
export async function namespacesOf(lab: string): Promise<string[]> {
  return (await readdir('/run/netns').catch(() => [])).filter((entry) => isPart(lab, entry));
}

async function namespaceLink(file: string): Promise<string> {
  const found = await stat(file).catch(() => undefined);
  return found ? `net:[${found.ino}]` : '';
}

/** The init of a node as the machine sees it, if it runs: the pid file counts only with the node's network namespace. */
export async function initOf(lab: string, node: string): Promise<number | undefined> {
  const pid = Number((await textOf(paths(lab).pid(node))).trim());
  if (!pid) return undefined;
  const [own, wanted] = await Promise.all([
    linkOf(`/proc/${pid}/ns/net`),
    namespaceLink(namespaceFile(lab, node)),
  ]);
  return own !== '' && own === wanted && /^[^Z]*$/.test(await stateOf(pid)) ? pid : undefined;
}

async function stateOf(pid: number): Promise<string> {
  return /^State:\s+(\S)/m.exec(await textOf(`/proc/${pid}/status`))?.[1] ?? 'Z';
}

/** Every process of a lab, or of one of its parts: by its cgroup or its network namespace, never by its name. */
export async function processesOf(lab: string, part?: string): Promise<number[]> {
  const mine = (name: string) => (part === undefined ? isPart(lab, name) : name === `vslab-${lab}-${part}`);
  const links = new Set<string>();
  for (const name of await namespacesOf(lab))
    if (mine(name)) links.add(await namespaceLink(`/run/netns/${name}`));
  links.delete('');
  links.delete(await linkOf('/proc/self/ns/net'));
  const found: number[] = [];
  for (const pid of await pids()) {
    if (pid === process.pid || pid === process.ppid) continue;
    const cgroups = (await textOf(`/proc/${pid}/cgroup`)).split('\n').map((line) => line.split(':')[2] ?? '');
    const byCgroup = cgroups.some((path) => mine(path.split('/')[1] ?? ''));
    if ((byCgroup || links.has(await linkOf(`/proc/${pid}/ns/net`))) && (await stateOf(pid)) !== 'Z')
      found.push(pid);
  }
  return found;
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // it ended in the meantime
  }
}

/** What is frozen does not even end by SIGKILL: every freezer between it and the top of its lab is opened (freezer-subsystem.rst). */
async function thaw(lab: string, pid: number): Promise<void> {
  for (const line of (await textOf(`/proc/${pid}/cgroup`)).split('\n')) {
    const [, controller, path = ''] = line.split(':');
    const levels = path.split('/').filter(Boolean);
    if ((controller !== 'freezer' && controller !== '') || !isPart(lab, levels[0] ?? '')) continue;
    const [top, file, word] =
      controller === '' ? ['', 'cgroup.freeze', '0'] : ['/freezer', 'freezer.state', 'THAWED'];
    for (const [index] of levels.entries())
      await writeFile(`/sys/fs/cgroup${top}/${levels.slice(0, index + 1).join('/')}/${file}`, word).catch(
        () => undefined,
      ); // it has gone, or has no such file
  }
}

/** Ends every process of a lab or of a part by SIGKILL and waits until none is left; the pids of those that stay. */
export async function killAll(lab: string, part?: string): Promise<number[]> {
  const until = Date.now() + 15_000;
  for (;;) {
    const left = await processesOf(lab, part);
    if (left.length === 0 || Date.now() > until) return left;
    for (const pid of left) signal(pid, 'SIGKILL');
    for (const pid of left) await thaw(lab, pid);
    await sleep(50);
  }
}

/** The services of a node by its init's table: the pid in the node, and the pid as the machine sees it. */
export async function serviceProcesses(
  lab: string,
  node: string,
): Promise<{ name: string; pid: number; nodePid: number }[]> {
  const init = await initOf(lab, node);
  if (init === undefined) return [];
  const space = await linkOf(`/proc/${init}/ns/pid`);
  const outside = new Map<number, number>();
  for (const pid of await processesOf(lab, node)) {
    if ((await linkOf(`/proc/${pid}/ns/pid`)) !== space) continue;
    const inside = /^NSpid:.*\s(\d+)$/m.exec(await textOf(`/proc/${pid}/status`))?.[1];
    if (inside) outside.set(Number(inside), pid);
  }
  const lines = (await textOf(paths(lab).services(node))).split('\n').filter(Boolean);
  return lines.flatMap((line) => {
    const [name = '', nodePid = ''] = line.split('\t');
    const pid = outside.get(Number(nodePid));
    return pid === undefined ? [] : [{ name, pid, nodePid: Number(nodePid) }];
  });
}

async function removeTree(path: string): Promise<void> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) if (entry.isDirectory()) await removeTree(`${path}/${entry.name}`);
  for (let attempt = 0; attempt < 40; attempt++) {
    try {
      return await rmdir(path);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === 'ENOENT') return;
      if (code !== 'EBUSY') throw error;
      await sleep(50);
    }
  }
}

/** Removes the cgroups of a lab or of one part, in every hierarchy; there must be no process in them. */
export async function removeCgroups(lab: string, part?: string): Promise<void> {
  const top = '/sys/fs/cgroup';
  const hierarchies = [top, ...(await readdir(top).catch(() => [])).map((entry) => `${top}/${entry}`)];
  for (const hierarchy of hierarchies) {
    for (const entry of await readdir(hierarchy).catch(() => [])) {
      const mine = part === undefined ? isPart(lab, entry) : entry === `vslab-${lab}-${part}`;
      if (mine) await removeTree(`${hierarchy}/${entry}`);
    }
  }
}
