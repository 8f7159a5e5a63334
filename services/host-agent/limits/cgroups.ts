import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { VsError } from '../../../shared/errors.ts';
import { type Controller, type Layout, type Read, type Version, type Write, limitFiles } from './plan.ts';
import { useFiles } from './use.ts';

const ROOT = '/sys/fs/cgroup';
const text = (path: string) => readFile(path, 'utf8').catch(() => '');
type Place = (controller: Controller | 'cpuacct', version: Version) => string | undefined;

/** Where the cgroup of a vserver lies, from /proc/PID/cgroup of a process in it, which may sit deeper (cgroups(7)). */
export function placesOf(cgroups: string, unified: string, root = ROOT): Place {
  const found = new Map<string, string>();
  for (const line of cgroups.split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    const own = /^(.*\/lxc\.payload\.[^/]+)/.exec(path ?? '')?.[1];
    if (controllers === undefined || !own) continue;
    for (const one of controllers.split(',')) found.set(one, join(root, controllers, own));
    if (controllers === '') found.set('', join(unified, own));
  }
  return (controller, version) =>
    version === 2 ? found.get('') : found.get(controller === 'io' ? 'blkio' : controller);
}

/** The cgroup of the vserver whose init this is; 'failed' when it has just gone. */
export async function openCgroup(pid: number, layout: Layout, unified: string) {
  const cgroups = await text(`/proc/${pid}/cgroup`);
  if (!cgroups.includes('lxc.payload.')) throw new VsError('failed', 'the vserver has just stopped');
  const places = placesOf(cgroups, unified);
  return {
    /** The texts of the files that hold limits and use, as they are now. */
    async read(): Promise<Read> {
      const texts = new Map<string, string>();
      const load = async (controller: Controller | 'cpuacct', version: Version, files: readonly string[]) => {
        const place = places(controller, version);
        if (!place) return;
        for (const file of files) texts.set(`${controller}/${file}`, await text(join(place, file)));
      };
      const { cpu } = layout.version;
      await Promise.all([
        ...Object.entries(layout.version).flatMap(([name, version]) => {
          const controller = name as Controller;
          return [
            load(controller, version, limitFiles[version][controller]),
            load(controller, version, useFiles[version][controller]),
          ];
        }),
        ...(cpu ? [load('cpuacct', cpu, useFiles[cpu].cpuacct)] : []),
      ]);
      return (controller, file) => texts.get(`${controller}/${file}`) ?? '';
    },
    /** Carries writes out, one after the other. Throws a sentence at the first that the kernel refuses. */
    async write(writes: Write[]): Promise<void> {
      for (const { controller, version, file, value } of writes) {
        const place = places(controller, version);
        try {
          if (!place) throw new Error(`it is in no cgroup of ${controller}`);
          await writeFile(join(place, file), value);
        } catch (error) {
          const { code, message } = error as NodeJS.ErrnoException;
          const why =
            code === 'EBUSY'
              ? 'the kernel could not get so much of it back'
              : code === 'ENOENT'
                ? 'the kernel of this host has no such limit'
                : message;
          throw new VsError('failed', `${file} cannot be set to ${value}: ${why}`, { cause: error });
        }
      }
    },
  };
}

/** The network of a vserver: what came in and went out at its interfaces since its start (bytes). */
export async function networkOf(pid: number): Promise<{ in: number; out: number }> {
  const all = { in: 0, out: 0 };
  for (const [, line = ''] of (await text(`/proc/${pid}/net/dev`)).matchAll(/^\s*eth\d+:\s*(.*)$/gm)) {
    const values = line.trim().split(/\s+/).map(Number);
    all.in += values[0] || 0;
    all.out += values[8] || 0;
  }
  return all;
}
