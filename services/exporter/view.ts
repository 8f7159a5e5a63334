import {
  type Alert,
  type HostInfo,
  type Metrics,
  type Status,
  alert,
  hostInfo,
  metrics,
  status,
} from '../../shared/contract/host.ts';
import { type SagaState, sagaState } from '../../shared/contract/saga.ts';
import { type VserverState, vserverState } from '../../shared/contract/vserver.ts';
import { openHeard } from '../../shared/heard.ts';
import type { Context } from '../../shared/service.ts';

/** More topics of a kind than this are not exported: who scrapes has memory for so many series. */
const LIMIT = 20_000;

type Said<T> = { topic: string; value: T }[];
/** What the exporter knows of the pool. */
export interface View {
  base: string;
  connected: boolean;
  status: Said<Status>;
  vservers: Said<VserverState>;
  alerts: Said<Alert>;
  sagas: Said<SagaState>;
  info(topic: string): HostInfo | undefined;
  /** What a metrics topic said last, unless that is too long ago. */
  figures(topic: string): Metrics | undefined;
  /** Messages that were too many to be kept. */
  leftOut: number;
}

/** The last message of each metrics topic, for `keepMs`. */
async function openFigures({ bus }: Context, keepMs: number) {
  const last = new Map<string, { value: Metrics; at: number }>();
  let leftOut = 0;
  const take = (topic: string, payload: unknown): void => {
    const parsed = metrics.safeParse(payload);
    if (!parsed.success) return;
    if (last.has(topic) || last.size < LIMIT) last.set(topic, { value: parsed.data, at: performance.now() });
    else leftOut++;
  };
  const ends = [
    await bus.subscribe(bus.topics.hostMetrics('+'), take),
    await bus.subscribe(bus.topics.vserverMetrics('+', '+'), take),
  ];
  function drop(): void {
    const oldest = performance.now() - keepMs;
    for (const [topic, { at }] of last) if (at < oldest) last.delete(topic);
  }
  const timer = setInterval(drop, keepMs).unref(); // also when nobody scrapes
  return {
    get(topic: string): Metrics | undefined {
      const one = last.get(topic);
      return one && one.at >= performance.now() - keepMs ? one.value : undefined;
    },
    leftOut: () => leftOut,
    async close(): Promise<void> {
      clearInterval(timer);
      await Promise.all(ends.map((end) => end()));
    },
  };
}

/** Hears the pool. `keepMs`: how long the figures of a host or vserver count after they came. */
export async function openView(context: Context, keepMs: number) {
  const { bus } = context;
  const { all } = bus.topics;
  const options = { limit: LIMIT };
  const heard = {
    status: await openHeard(bus, all.hostStatus, status, options),
    info: await openHeard(bus, all.hostInfo, hostInfo, options),
    vservers: await openHeard(bus, all.vserverState, vserverState, options),
    sagas: await openHeard(bus, all.sagaState, sagaState, options),
    hostAlerts: await openHeard(bus, bus.topics.alert('+', '+', '+'), alert, options),
    masterAlerts: await openHeard(bus, bus.topics.alert('master', '+', '+'), alert, options),
  };
  const figures = await openFigures(context, keepMs);
  return {
    now: (): View => ({
      base: bus.topics.base,
      connected: bus.connected,
      status: heard.status.all(),
      vservers: heard.vservers.all(),
      alerts: [...heard.hostAlerts.all(), ...heard.masterAlerts.all()],
      sagas: heard.sagas.all(),
      info: heard.info.get,
      figures: figures.get,
      leftOut: figures.leftOut() + Object.values(heard).reduce((sum, one) => sum + one.leftOut(), 0),
    }),
    async close(): Promise<void> {
      await Promise.all([figures.close(), ...Object.values(heard).map((one) => one.close())]);
    },
  };
}
