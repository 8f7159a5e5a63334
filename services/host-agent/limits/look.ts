import { setTimeout as pause } from 'node:timers/promises';
import type { Data } from '../../../shared/contract/commands.ts';
import type { LimitKey, Limits } from '../../../shared/contract/limits.ts';
import type { Context } from '../../../shared/service.ts';
import { unifiedTop } from './capabilities.ts';
import { networkOf, openCgroup } from './cgroups.ts';
import { type HostLimits, currentLimits } from './plan.ts';
import { lookAtTmp } from './tmp.ts';
import { useOf } from './use.ts';

/** Rates, and the use of processors, are those of so long a look (ms). */
const LOOK_MS = 300;

/** What is in use and in force of a vserver at this moment. */
export interface Looked {
  used: Partial<Record<LimitKey, number>>;
  hits: Partial<Record<LimitKey, number>>;
  kills: number;
  /** What the kernel holds; undefined: it does not run. */
  current: Limits | undefined;
  disk: Data<'snapshot.limit'>;
  tmp: { used: number; limit: number } | undefined;
}

/** Looks at a vserver; `pid` is its init. Of one that does not run only the disk is in use. */
export async function look(
  { bus, host }: Pick<Context, 'bus' | 'host'>,
  { layout, disks }: HostLimits,
  name: string,
  pid: number | undefined,
  exact: boolean,
): Promise<Looked> {
  const disk = await bus.request(host, 'snapshot.limit', { name, exact }, { timeoutMs: 600_000 });
  const { used: onDisk } = disk;
  if (pid === undefined)
    return { used: { disk_bytes: onDisk }, hits: {}, kills: 0, current: undefined, disk, tmp: undefined };
  const cgroup = await openCgroup(pid, layout, unifiedTop());
  const counters = async () => {
    const read = await cgroup.read();
    const net = await networkOf(pid);
    const use = useOf(layout, read);
    const all = { ...use.counters, net_in_rate: net.in, net_out_rate: net.out };
    return { read, use, all, at: performance.now() };
  };
  const before = await counters();
  await pause(LOOK_MS);
  const now = await counters();
  const tmp = await lookAtTmp(pid);
  const seconds = (now.at - before.at) / 1000;
  const rates: Looked['used'] = {};
  for (const key of Object.keys(now.all) as (keyof typeof now.all)[]) {
    const rate = Math.max(0, ((now.all[key] ?? 0) - (before.all[key] ?? 0)) / seconds);
    rates[key] = key === 'cpu' ? rate : Math.round(rate);
  }
  return {
    used: { ...rates, ...now.use.used, disk_bytes: onDisk, tmp_bytes: tmp?.used },
    hits: now.use.hits,
    kills: now.use.kills,
    current: currentLimits(layout, disks, now.read),
    disk,
    tmp,
  };
}
