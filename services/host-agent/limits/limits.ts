import { readFile } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';
import type { LimitChanges, LimitReport, Limits, MissingLimits } from '../../../shared/contract/limits.ts';
import type { VserverConfig } from '../../../shared/contract/vserver.ts';
import { VsError } from '../../../shared/errors.ts';
import { limitTable, limitText, withChanges } from '../../../shared/limits.ts';
import { mountOf } from '../../../shared/mount.ts';
import type { Context } from '../../../shared/service.ts';
import { createTurns } from '../../../shared/turns.ts';
import { disksOf, lookAtCgroups, missingCgroups } from './capabilities.ts';
import { enforce, reconcile, setDisk } from './enforce.ts';
import { look } from './look.ts';
import type { HostLimits } from './plan.ts';
import { type Facts, refusals } from './refuse.ts';
import { limitRows } from './rows.ts';

interface Files {
  load(name: string): Promise<VserverConfig>;
  save(config: VserverConfig): Promise<void>;
}

/** The limits of the vservers of this host: what can be limited here, what is in force, and its change. */
export function createLimits(context: Context, files: Files) {
  const { settings, bus, host } = context;
  const inTurn = createTurns(); // what is looked at is not changed meanwhile
  const alerted = new Set<string>();
  let known: HostLimits | undefined;

  /** What the cgroups and the disk of this host can; looked at once. */
  async function ofHost(): Promise<HostLimits> {
    if (known) return known;
    const { source } = mountOf(await readFile('/proc/self/mountinfo', 'utf8'), settings.VSERVER_DIR);
    return (known = { layout: lookAtCgroups(), disks: disksOf(source) });
  }
  async function missing(): Promise<MissingLimits> {
    const { layout, disks } = await ofHost();
    const found = missingCgroups(layout, disks);
    const { quota } = await bus.request(host, 'snapshot.info', {});
    if (quota?.missing) found.disk_bytes = quota.missing;
    const { missing: network } = await bus.request(host, 'network.shaping', {});
    if (network) found.net_in_rate = found.net_out_rate = network;
    if (!/\ttmpfs$/m.test(await readFile('/proc/filesystems', 'utf8')))
      found.tmp_bytes = 'its kernel has no tmpfs';
    return found;
  }

  /** What a change is judged by. What is used of rates and of processors follows the limit, so it is no measure. */
  async function factsOf(name: string, pid: number | undefined, changes: LimitChanges): Promise<Facts> {
    const of = await ofHost();
    const { used } = await look(context, of, name, pid, true);
    const cannot = await missing();
    if (typeof changes.disk_bytes === 'number' && used.disk_bytes === undefined && !cannot.disk_bytes) {
      const counted = await bus.request(host, 'snapshot.usage', { name }, { timeoutMs: 600_000 });
      used.disk_bytes = counted.bytes;
    }
    const swap = /^SwapTotal:\s+(\d+) kB/m.exec(await readFile('/proc/meminfo', 'utf8'))?.[1];
    const { memory_bytes, swap_bytes, disk_bytes, tmp_bytes, procs } = used;
    return {
      host,
      name,
      missing: cannot,
      has: {
        memory_bytes: totalmem(),
        swap_bytes: Number(swap ?? 0) * 1024,
        disk_bytes: (await bus.request(host, 'snapshot.info', {})).total,
        tmp_bytes: totalmem(),
        cpu: cpus().length,
      },
      used: { memory_bytes, swap_bytes, disk_bytes, tmp_bytes, procs },
      swapNeedsMemory: of.layout.version.memory === 1,
    };
  }

  /** An alert shows which limits a vserver has that this host cannot set: it came from another one. */
  async function tell({ name, limits }: VserverConfig): Promise<void> {
    const cannot = Object.keys(limits).length === 0 ? {} : await missing();
    const parts = limitTable.flatMap(({ key, resource }) =>
      limits[key] !== undefined && cannot[key] ? [`${resource} (${cannot[key]})`] : [],
    );
    if (parts.length === 0) return forget(name);
    alerted.add(name);
    const message = `${name} has limits that ${host} cannot set, so they are not in force: ${parts.join('; ')}`;
    bus.alert(name, 'limits', { ts: Date.now(), severity: 'warning', message });
  }
  function forget(name: string): void {
    if (alerted.delete(name)) bus.alert(name, 'limits', null);
  }
  function event(name: string, before: Limits, now: Limits): void {
    const text = (unit: (typeof limitTable)[0]['unit'], value: number | undefined) =>
      value === undefined ? 'none' : limitText(unit, value);
    const told = limitTable
      .filter(({ key }) => before[key] !== now[key])
      .map(
        ({ key, resource, unit }) => `${resource} ${text(unit, now[key])} (was ${text(unit, before[key])})`,
      );
    if (told.length > 0) bus.event('host-agent', 'limited', `${name}: ${told.join(', ')}`, { vserver: name });
  }

  return {
    ofHost,
    missing,
    tell,
    forget,
    setDisk: (name: string, bytes: number) => setDisk(context, name, bytes),
    /** Before a copy is in its place: what takes a while before the first limit of a disk. */
    readyDisk: (name: string) =>
      bus.request(host, 'snapshot.limit', { name, ready: true }, { timeoutMs: 600_000 }),
    /** Every resource with its use, limit and hits; `pid` is the init of what runs. */
    async report(name: string, pid: number | undefined): Promise<LimitReport> {
      const seen = await look(context, await ofHost(), name, pid, false);
      const { limits } = await files.load(name);
      return { name, running: pid !== undefined, limits: limitRows(limits, seen, await missing()) };
    },
    /**
     * Judges changes, brings them to what runs, then keeps them; all or nothing. After a crash in between what runs has other
     * limits than what is kept: reconcile brings it back to that. Throws VsError 'refused' with every reason.
     */
    change: (
      name: string,
      pid: number | undefined,
      changes: LimitChanges,
      force: boolean,
    ): Promise<VserverConfig> =>
      inTurn(name, async () => {
        const config = await files.load(name);
        const limits = withChanges(config.limits, changes);
        const { why, forceable } = refusals(changes, limits, await factsOf(name, pid, changes), force);
        if (why.length > 0)
          throw new VsError(
            'refused',
            `the limits of ${name} stay as they are: ${why.join('; ')}${forceable ? '. --force sets them all the same' : ''}`,
          );
        const next = { ...config, limits };
        const of = await ofHost();
        await enforce(context, of, name, pid, config.limits, limits);
        try {
          await files.save(next);
        } catch (error) {
          await enforce(context, of, name, pid, limits, config.limits);
          throw error;
        }
        event(name, config.limits, limits);
        await tell(next);
        return next;
      }),
    /** What runs has the limits of its vserver.json. */
    reconcile: (name: string, pid: number): Promise<void> =>
      inTurn(name, async () => {
        const config = await files.load(name);
        await reconcile(context, await ofHost(), name, pid, config.limits);
        await tell(config);
      }),
  };
}
export type LimitsOfHost = ReturnType<typeof createLimits>;
