import { cpus } from 'node:os';
import type { MonitorConfig } from '../../../config/monitor/rule.ts';
import type { Metrics } from '../../../shared/contract/host.ts';
import type { RunningVserver } from '../../../shared/contract/vserver.ts';
import { cgroupsOf } from '../cgroup.ts';
import { readKernel } from '../read.ts';
import { quickMark, socketMark, socketsOf } from '../sockets.ts';
import type { Guest } from './daemons.ts';
import type { Reading } from './evaluate.ts';
import { type Fill, fullIn, remember } from './growth.ts';
import type { Kept } from './keep.ts';
import { type Process, processesOf } from './processes.ts';
import { counterReadings, thresholdReadings } from './readings.ts';
import { upkeepChecks } from './upkeep.ts';
import { diffText, namesOf, nextUsual } from './socket-diff.ts';

const cores = cpus().length;
/** So often all listening sockets are read, though nothing seems to have changed. */
const WHOLE_MS = 60_000;
/** These are looked at by themselves: undefined here. */
const elsewhere = Object.fromEntries(upkeepChecks.map((check) => [check, undefined]));

/** What a look leaves for the next one, in memory. */
export interface Before {
  fills: Fill[];
  io?: { pid: number; at: number; read: number; write: number } | undefined;
  sockets?: { mark: string; names: string[]; quick?: string | undefined; read: number } | undefined;
}

/** A vserver as its daemons are looked at: its processes are read once, and only when a check asks. */
export function guestOf({ name, pid }: Pick<RunningVserver, 'name' | 'pid'>): Guest {
  let known: Process[] | undefined;
  const read = () => {
    const at = cgroupsOf(readKernel(`/proc/${pid}/cgroup`));
    const directory = at.get('pids') ?? at.get('cpuacct') ?? at.get('');
    return directory === undefined ? [] : processesOf(directory);
  };
  return { name, pid, processes: () => (known ??= read()) };
}

/** Bytes a second since the look before; undefined at the first one. */
function ratesOf(figures: Metrics, pid: number, before: Before) {
  const [read, write] = [Number(figures['io_read_bytes'] ?? 0), Number(figures['io_write_bytes'] ?? 0)];
  const now = { pid, at: performance.now(), read, write };
  const last = before.io?.pid === pid ? before.io : undefined;
  before.io = now;
  const seconds = last ? (now.at - last.at) / 1000 : 0;
  const rate = (key: 'read' | 'write') =>
    last && seconds > 0 ? Math.max(0, (now[key] - last[key]) / seconds) : undefined;
  return { 'io-read': rate('read'), 'io-write': rate('write') };
}

async function socketReading(
  { sockets: wanted }: MonitorConfig,
  { pid, since }: RunningVserver,
  kept: Kept,
  before: Before,
): Promise<Record<string, Reading>> {
  const now = Date.now();
  if (!wanted || (since !== undefined && now - since < wanted.settle * 1000)) return {};
  const quick = quickMark(pid);
  const last = before.sockets;
  const isSame = last !== undefined && quick !== undefined && last.quick === quick;
  let names = last?.names ?? [];
  if (!isSame || performance.now() - last.read >= WHOLE_MS) {
    const mark = socketMark(pid);
    if (last?.mark !== mark) names = namesOf((await socketsOf(pid)).sockets, wanted.unix);
    before.sockets = { mark, names, quick, read: performance.now() };
  }
  const { usual, diff } = nextUsual(kept.usual, names, now, wanted.keep);
  kept.usual = usual;
  const text = diffText(diff);
  return {
    sockets: { value: diff.length > 0 ? 1 : 0, text: `listening sockets have changed: ${text}`, about: text },
  };
}

/** Everything but the daemons: cheap, and done at once. Changes `kept` and `before` for the look after this one. */
export async function lookAtFigures(
  config: MonitorConfig,
  vserver: RunningVserver,
  figures: Metrics,
  kept: Kept,
  before: Before,
): Promise<Record<string, Reading>> {
  const { pid } = vserver;
  const [used, limit] = [figures['disk_bytes'], figures['disk_limit_bytes']];
  if (typeof used === 'number') before.fills = remember(before.fills, { ts: Date.now(), bytes: used });
  const growth = typeof limit === 'number' && limit > 0 ? fullIn(before.fills, limit) : null;
  const { readings, counted } = counterReadings(config, figures, pid, kept.counted);
  kept.counted = counted;
  if (!config.sockets) delete kept.usual;
  return {
    ...thresholdReadings(config, figures, {
      kinds: 'vserver',
      cores,
      more: { 'disk-growth': growth, ...ratesOf(figures, pid, before), ...elsewhere },
    }),
    ...readings,
    ...(await socketReading(config, vserver, kept, before)),
  };
}
