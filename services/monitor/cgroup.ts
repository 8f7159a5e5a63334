import { readFile } from 'node:fs/promises';

/** Where the figures of a vserver lie, by the controller's name; '' is cgroup v2. */
export type Cgroups = Map<string, string>;

/** The directories of a process's cgroups from /proc/PID/cgroup, cut at the vserver's own (its init may sit deeper). */
export function cgroupsOf(text: string, root = '/sys/fs/cgroup'): Cgroups {
  const found: Cgroups = new Map();
  for (const line of text.split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers === undefined || path === undefined) continue;
    const own = /^(.*\/lxc\.payload\.[^/]+)/.exec(path)?.[1];
    if (!own) continue;
    if (controllers === '') found.set('', `${root}${own}`);
    for (const controller of controllers.split(',').filter(Boolean))
      found.set(controller, `${root}/${controllers.replace(/^name=/, '')}${own}`);
  }
  return found;
}

const text = (path: string) => readFile(path, 'utf8').catch(() => '');
const number = (value: string | undefined) => {
  const parsed = Number((value ?? '').trim() || Number.NaN);
  return Number.isSafeInteger(parsed) && parsed < 2 ** 52 ? parsed : undefined; // v1 writes unlimited as 2^63
};
const field = (from: string, key: string) =>
  number(new RegExp(`^${key}[ \\t](\\d+)$`, 'm').exec(from)?.[1]) ?? 0;

export interface Usage {
  cpuSeconds: number;
  memory: number;
  memoryLimit?: number | undefined;
  memoryHits: number;
  procs: number;
  procsLimit?: number | undefined;
  procsHits: number;
  ioRead: number;
  ioWrite: number;
}

/** The figures of cgroup v1 (also hybrid), each controller with a directory of its own. */
async function usageV1(at: Cgroups): Promise<Usage> {
  const read = (controller: string, file: string) => text(`${at.get(controller)}/${file}`);
  const io = await read('blkio', 'blkio.throttle.io_service_bytes');
  const sum = (kind: string) =>
    [...io.matchAll(new RegExp(` ${kind} (\\d+)$`, 'gm'))].reduce((all, one) => all + Number(one[1]), 0);
  const memory = number(await read('memory', 'memory.usage_in_bytes')) ?? 0;
  return {
    cpuSeconds: Number(await read('cpuacct', 'cpuacct.usage')) / 1e9,
    memory: Math.max(0, memory - field(await read('memory', 'memory.stat'), 'total_inactive_file')),
    memoryLimit: number(await read('memory', 'memory.limit_in_bytes')),
    memoryHits: number(await read('memory', 'memory.failcnt')) ?? 0,
    procs: number(await read('pids', 'pids.current')) ?? 0,
    procsLimit: number(await read('pids', 'pids.max')),
    procsHits: field(await read('pids', 'pids.events'), 'max'),
    ioRead: sum('Read'),
    ioWrite: sum('Write'),
  };
}

async function usageV2(directory: string): Promise<Usage> {
  const read = (file: string) => text(`${directory}/${file}`);
  const io = await read('io.stat');
  const sum = (key: string) =>
    [...io.matchAll(new RegExp(`${key}=(\\d+)`, 'g'))].reduce((all, one) => all + Number(one[1]), 0);
  const memory = number(await read('memory.current')) ?? 0;
  return {
    cpuSeconds: field(await read('cpu.stat'), 'usage_usec') / 1e6,
    memory: Math.max(0, memory - field(await read('memory.stat'), 'inactive_file')),
    memoryLimit: number(await read('memory.max')),
    memoryHits: field(await read('memory.events'), 'max'),
    procs: number(await read('pids.current')) ?? 0,
    procsLimit: number(await read('pids.max')),
    procsHits: field(await read('pids.events'), 'max'),
    ioRead: sum('rbytes'),
    ioWrite: sum('wbytes'),
  };
}

/** What the vserver of an init process uses; undefined when the process is gone or in no vserver. */
export async function usageOf(pid: number): Promise<Usage | undefined> {
  const at = cgroupsOf(await text(`/proc/${pid}/cgroup`));
  if (at.has('memory') || at.has('cpuacct')) return usageV1(at);
  const unified = at.get('');
  return unified ? usageV2(unified) : undefined;
}

/** Bytes in and out of a vserver since its start, as it sees its eth0 itself. */
export async function networkOf(pid: number): Promise<{ rx: number; tx: number }> {
  const line = /^\s*eth0:\s*(.*)$/m.exec(await text(`/proc/${pid}/net/dev`))?.[1];
  const values = (line ?? '').trim().split(/\s+/).map(Number);
  return { rx: values[0] || 0, tx: values[8] || 0 };
}
