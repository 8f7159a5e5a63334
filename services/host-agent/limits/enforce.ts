import type { Limits } from '../../../shared/contract/limits.ts';
import type { Context } from '../../../shared/service.ts';
import { unifiedTop } from './capabilities.ts';
import { openCgroup } from './cgroups.ts';
import { type HostLimits, currentLimits, limitWrites } from './plan.ts';
import { lookAtTmp, resizeTmp } from './tmp.ts';

type Parts = Pick<Context, 'bus' | 'host' | 'log'>;

/** The limit of a tree on the disk; an absent one is none. */
export const setDisk = ({ bus, host }: Parts, name: string, bytes: number | undefined) =>
  bus.request(host, 'snapshot.limit', { name, bytes: bytes ?? null }, { timeoutMs: 3_600_000 });

/** The cgroup of a vserver that runs has these limits; answers those that it had. */
export async function setCgroup({ layout, disks }: HostLimits, pid: number, wanted: Limits): Promise<Limits> {
  const cgroup = await openCgroup(pid, layout, unifiedTop());
  const current = currentLimits(layout, disks, await cgroup.read());
  try {
    await cgroup.write(limitWrites(layout, disks, current, wanted));
  } catch (error) {
    const half = currentLimits(layout, disks, await cgroup.read());
    await cgroup.write(limitWrites(layout, disks, half, current)).catch(() => undefined); // what went up goes down again
    throw error;
  }
  return current;
}

const shape = ({ bus, host }: Parts, name: string, pid: number, { net_in_rate, net_out_rate }: Limits) =>
  bus.request(host, 'network.shape', { name, pid, in_rate: net_in_rate, out_rate: net_out_rate });

/** Brings a vserver from limits to others; at the first fault all that was done is taken back. */
export async function enforce(
  parts: Parts,
  of: HostLimits,
  name: string,
  pid: number | undefined,
  before: Limits,
  wanted: Limits,
): Promise<void> {
  const undo: (() => Promise<unknown>)[] = [];
  const changes = (...keys: (keyof Limits)[]) => keys.some((key) => before[key] !== wanted[key]);
  try {
    if (changes('disk_bytes')) {
      undo.unshift(() => setDisk(parts, name, before.disk_bytes));
      await setDisk(parts, name, wanted.disk_bytes);
    }
    if (pid === undefined) return;
    const current = await setCgroup(of, pid, wanted);
    undo.unshift(() => setCgroup(of, pid, current));
    if (changes('tmp_bytes') && (await lookAtTmp(pid))) {
      undo.unshift(() => resizeTmp(pid, before.tmp_bytes ?? null));
      await resizeTmp(pid, wanted.tmp_bytes ?? null);
    }
    if (changes('net_in_rate', 'net_out_rate')) {
      undo.unshift(() => shape(parts, name, pid, before));
      await shape(parts, name, pid, wanted);
    }
  } catch (error) {
    for (const back of undo)
      await back().catch((undoing: unknown) =>
        parts.log.error({ err: undoing, vserver: name }, 'a limit could not be set back'),
      );
    throw error;
  }
}

/**
 * What runs gets the limits of its vserver.json: after a crash in the middle of a change, a restart from inside (the runtime
 * takes the configuration of its last start then), a start by hand. One that cannot be set keeps none of the others from it.
 */
export async function reconcile(
  parts: Parts,
  of: HostLimits,
  name: string,
  pid: number,
  limits: Limits,
): Promise<void> {
  const { bus, host } = parts;
  const works: (() => Promise<unknown>)[] = [
    () => setCgroup(of, pid, limits),
    async () => {
      const { limit, missing } = await bus.request(host, 'snapshot.limit', { name });
      if (!missing && limit !== limits.disk_bytes) await setDisk(parts, name, limits.disk_bytes);
    },
    async () => {
      const { tmp_bytes: bytes } = limits;
      const tmp = await lookAtTmp(pid);
      if (tmp && bytes !== undefined && Math.abs(tmp.limit - bytes) > 65_536) await resizeTmp(pid, bytes);
    },
    async () => {
      if (!(await bus.request(host, 'network.shaping', {})).missing) await shape(parts, name, pid, limits);
    },
  ];
  for (const work of works)
    await work().catch((error: unknown) =>
      parts.log.warn({ err: error, vserver: name }, 'a limit is not in force'),
    );
}
