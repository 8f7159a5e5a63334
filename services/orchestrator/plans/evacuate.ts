import { loadSlaves } from '../../../config/slaves.ts';
import type { Args } from '../../../shared/contract/commands.ts';
import type { VserverState } from '../../../shared/contract/vserver.ts';
import { VsError } from '../../../shared/errors.ts';
import { networksOf } from '../../../shared/interfaces.ts';
import { type Need, placeAll } from '../placement.ts';
import { roomsOf } from '../rooms.ts';
import { bytesAlong, ofAll } from '../snapshots.ts';
import { size, vservers as vserversText } from '../text.ts';
import type { Deciding, Planned } from './planned.ts';

/** What an evacuation does. */
export interface EvacuatePlan {
  host: string;
  /** The only hosts that may be chosen; any, when none is named. */
  to?: string[];
  parallel: number;
  /** All that the host had, each with the host that it shall go to, or the reason why it stays. */
  vservers: (Need & { to?: string; why?: string })[];
}

/** So many trees of a host are counted at once. */
const COUNTED = 4;
/** A host that does not tell by then what its vservers use is not waited for (ms). */
const MEMORY_MS = 5000;

/** Decides an evacuation: where each vserver of a host goes; refuses with a sentence before anything is changed. */
export async function planEvacuate(
  deciding: Deciding,
  args: Args<'orchestrator.evacuate'>,
): Promise<Planned> {
  const { context, pool, marks } = deciding;
  const { host } = args;
  pool.requireHost(host);
  for (const to of args.to ?? []) {
    if (to === host) throw new VsError('usage', `${host} cannot go to itself`);
    pool.requireHost(to);
    if (marks.get(to))
      throw new VsError('refused', `${to} is evacuated itself; end that with: vs restore-host ${to}`);
  }
  const skipped = (await loadSlaves(context.settings)).filter((one) => one.noselect).map((one) => one.host);
  // without --to the hosts are fixed now, so that slaves.conf holds for the tries after a failure as well
  const to = args.to ?? roomsOf(deciding, host, undefined, skipped).map((room) => room.host);
  const here = pool.all().filter((one) => one.host === host);
  const needs = await needsOf(deciding, host, here);
  const movable = needs.filter((need) => need.why === undefined);
  const places = placeAll(movable, roomsOf(deciding, host, to));
  const vservers = needs
    .map((need): EvacuatePlan['vservers'][number] => ({ ...need, ...places.get(need.name) }))
    .sort((a, b) => a.name.localeCompare(b.name));
  const goes = vservers.filter((one) => one.to !== undefined);
  const stays = vservers.length - goes.length;
  const leaving = here.filter(({ name }) => goes.some((one) => one.name === name));
  const sends = (at: string | undefined) =>
    at !== undefined && pool.requireHost(at).storage.capabilities.send;
  const goAlong = leaving.filter(
    ({ name }) => sends(host) && sends(goes.find((one) => one.name === name)?.to),
  );
  const bytes = goes.reduce((sum, one) => sum + one.disk + (sends(one.to) ? (one.along ?? 0) : 0), 0);
  return {
    kind: 'evacuate',
    plan: { host, to, parallel: args.parallel ?? 2, vservers },
    vserver: host,
    host,
    title: `${host}: evacuate ${vserversText(goes.length)}, ${size(bytes)}${stays > 0 ? `; ${stays} cannot go` : ''}${ofAll(leaving, new Set(goAlong))}`,
  };
}

/** What each needs elsewhere; one that cannot go at all has its reason. */
async function needsOf(deciding: Deciding, host: string, vservers: VserverState[]) {
  const memory = memoryUse(deciding, host, vservers);
  const needs: (Need & { why?: string })[] = [];
  const left = vservers.values();
  const { send: sends } = deciding.pool.requireHost(host).storage.capabilities;
  async function worker(): Promise<void> {
    for (const { name, network, more, epoch, state, snapshots } of left) {
      const also = networksOf({ network, more }).slice(1);
      const need = { name, network, ...(also.length > 0 ? { also } : {}), memory: 0, disk: 0 };
      if (epoch === 0) needs.push({ ...need, why: `${host} has files of it, but does not own it` });
      else if (state !== 'running' && state !== 'stopped') needs.push({ ...need, why: `it is ${state}` });
      else
        try {
          const asked = { timeoutMs: 600_000 };
          const { bytes } = await deciding.context.bus.request(host, 'snapshot.usage', { name }, asked);
          const both =
            sends && snapshots ? await bytesAlong(deciding.context, { name, host }, bytes) : undefined;
          needs.push({ ...need, disk: bytes, ...(both === undefined ? {} : { along: both - bytes }) });
        } catch (error) {
          needs.push({
            ...need,
            why: `its size is unknown: ${error instanceof Error ? error.message : String(error)}`,
          });
        }
    }
  }
  await Promise.all(Array.from({ length: COUNTED }, worker));
  const used = await memory;
  return needs.map((need) => ({ ...need, memory: used.get(need.name) ?? 0 }));
}

/** Bytes by name of those that run: the limit, else what is used just now, of which the host is asked. */
async function memoryUse({ context }: Deciding, host: string, vservers: VserverState[]) {
  const { bus, log } = context;
  const running = vservers.filter((one) => one.state === 'running');
  const bytes = new Map(
    running.flatMap(({ name, limits }) => (limits.memory_bytes ? [[name, limits.memory_bytes]] : [])),
  );
  if (running.every((one) => bytes.has(one.name))) return bytes;
  try {
    const used = await bus.request(host, 'monitor.memory', {}, { timeoutMs: MEMORY_MS });
    for (const { name, mem_bytes } of used.vservers) if (!bytes.has(name)) bytes.set(name, mem_bytes);
  } catch (error) {
    log.warn(
      { host, error: String(error) },
      'what runs there without a limit counts as if it used no memory',
    );
  }
  return bytes;
}
