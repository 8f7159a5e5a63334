import { metrics } from '../../shared/contract/host.ts';
import type { Context } from '../../shared/service.ts';

/** So many of the last messages count, and so many are needed. */
const KEPT = 5;
const LEAST = 3;

export interface ClockChange {
  host: string;
  /** How far ahead of the master's (ms; behind: negative) its clock is; undefined: it is right again. */
  aheadMs: number | undefined;
}

/**
 * How wrong the clocks of hosts are, by the times in their messages. A message only ever comes late, which makes a clock seem
 * behind: so the least late of the last ones counts. Wrong from `limitMs` on, right again at half of it.
 */
export function openClocks(limitMs: number) {
  const known = new Map<string, { ahead: number[]; wrong: boolean | undefined }>();
  return {
    /** A message of a host with its time `ts`, come at `now` (both ms); what is to be told by it. The first verdict is always told. */
    hear(host: string, ts: number, now: number): ClockChange | undefined {
      const one = known.get(host) ?? { ahead: [], wrong: undefined };
      known.set(host, one);
      one.ahead = [...one.ahead, ts - now].slice(-KEPT);
      if (one.ahead.length < LEAST) return undefined;
      const aheadMs = Math.max(...one.ahead);
      const wrong = Math.abs(aheadMs) >= (one.wrong === true ? limitMs / 2 : limitMs);
      if (wrong === one.wrong) return undefined;
      one.wrong = wrong;
      return { host, aheadMs: wrong ? aheadMs : undefined };
    },
    /** Hosts that are gone, of which it was told that their clock is wrong. */
    keep(hosts: ReadonlySet<string>): string[] {
      const gone = [...known].filter(([host]) => !hosts.has(host));
      for (const [host] of gone) known.delete(host);
      return gone.flatMap(([host, { wrong }]) => (wrong ? [host] : []));
    },
  };
}

/** For people. */
export function clockText(host: string, aheadMs: number): string {
  const seconds = Math.abs(aheadMs) / 1000;
  const far = seconds < 120 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
  return `the clock of ${host} is ${far} ${aheadMs > 0 ? 'ahead of' : 'behind'} the master's`;
}

const MOST_HOSTS = 5000;
/** Hears the hosts, and says by an alert of the master whose clock is wrong. Ends with the function that it resolves to. */
export async function watchClocks({ bus }: Pick<Context, 'bus'>, limitMs: number, hosts: () => string[]) {
  if (limitMs <= 0) return async () => undefined;
  const clocks = openClocks(limitMs);
  const tell = ({ host, aheadMs }: ClockChange) =>
    bus.alert(
      host,
      'clock',
      aheadMs === undefined
        ? null
        : { ts: Date.now(), severity: 'warning', message: clockText(host, aheadMs), value: aheadMs / 1000 },
    );
  return bus.subscribe(bus.topics.hostMetrics('+'), (topic, payload) => {
    const ts = metrics.safeParse(payload).data?.['ts'];
    const known = hosts();
    const host = topic.split('/').at(-2) ?? '';
    if (typeof ts !== 'number' || !known.includes(host) || known.length > MOST_HOSTS) return;
    for (const gone of clocks.keep(new Set(known))) tell({ host: gone, aheadMs: undefined });
    const change = clocks.hear(host, ts, Date.now());
    if (change) tell(change);
  });
}
