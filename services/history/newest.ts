import { firstOf } from '../../shared/addresses.ts';
import type { Args, Data } from '../../shared/contract/commands.ts';
import type { NewestFigures } from '../../shared/contract/history.ts';
import { type Metrics, metrics, status } from '../../shared/contract/host.ts';
import { type VserverState, vserverState } from '../../shared/contract/vserver.ts';
import { openHeard } from '../../shared/heard.ts';
import type { Context } from '../../shared/service.ts';
import { keptOf, ratesOf } from './rates.ts';
import type { Sample } from './store.ts';

/** More topics of a kind than this are not taken in. */
const LIMIT = 20_000;
/** What an answer holds, bytes of JSON. */
const MOST_BYTES = 400_000;

interface Last {
  figures: Metrics;
  rates: Record<string, number>;
  /** When it came. */
  at: number;
  /** The same by a steady clock. */
  heard: number;
}

/** Of some figures only those that were asked for. */
function only<T extends Record<string, unknown>>(values: T, keys: string[] | undefined): T {
  if (!keys) return values;
  return Object.fromEntries(Object.entries(values).filter(([key]) => keys.includes(key))) as T;
}

/** The newest figures of the pool, in memory, for `keepMs` after they came; each goes to `take` as what is to be kept. */
export async function openNewest({ bus }: Context, keepMs: number, take: (sample: Sample) => void) {
  const { topics } = bus;
  const last = new Map<string, Last>();
  let leftOut = 0;
  const options = { limit: LIMIT };
  const hosts = await openHeard(bus, topics.all.hostStatus, status, options);
  const vservers = await openHeard(bus, topics.all.vserverState, vserverState, options);

  function hear(topic: string, payload: unknown): void {
    const parsed = metrics.safeParse(payload);
    if (!parsed.success) return;
    const before = last.get(topic);
    if (!before && last.size >= LIMIT) return void leftOut++;
    const [at, figures] = [Date.now(), parsed.data];
    // both by the clock of the host; a message may wait on its way
    const byHost = (Number(figures['ts']) - Number(before?.figures['ts'])) / 1000;
    const heard = performance.now();
    const seconds = byHost > 0 ? byHost : (heard - (before?.heard ?? heard)) / 1000;
    const rates = ratesOf(before?.figures, figures, seconds);
    last.set(topic, { figures, rates, at, heard });
    const levels = topic.slice(topics.base.length + 1).split('/');
    const [, host = '', , name] = levels;
    const values = keptOf(figures, rates);
    if (name === undefined) return take({ kind: 'host', subject: host, name: host, at, values });
    const uuid = vservers.get(topics.vserverState(host, name))?.uuid; // told before it starts
    if (uuid !== undefined) take({ kind: 'vserver', subject: uuid, name, at, values });
  }
  const ends = [
    await bus.subscribe(topics.hostMetrics('+'), hear),
    await bus.subscribe(topics.vserverMetrics('+', '+'), hear),
  ];
  const timer = setInterval(() => {
    for (const [topic, { heard }] of last) if (heard < performance.now() - keepMs) last.delete(topic);
  }, keepMs).unref();

  /** Each once: as its owner has it. Files without ownership are nobody's. */
  function owned(): VserverState[] {
    const owners = new Map<string, VserverState>();
    for (const { value: one } of vservers.all())
      if (one.epoch > (owners.get(one.name)?.epoch ?? 0)) owners.set(one.name, one);
    return [...owners.values()];
  }
  function withFigures<T extends object>(one: T, topic: string, keys: string[] | undefined) {
    const found = last.get(topic);
    if (!found || found.heard < performance.now() - keepMs) return { ...one, figures: {}, rates: {} };
    return { ...one, ts: found.at, figures: only(found.figures, keys), rates: only(found.rates, keys) };
  }
  function all(keys: string[] | undefined): NewestFigures[] {
    const online = new Map(
      hosts.all().map(({ topic, value }) => [topic.split('/').at(-2) ?? '', value.state] as const),
    );
    const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1);
    return [
      ...[...online]
        .map(([host, state]) =>
          withFigures({ kind: 'host' as const, name: host, host, state }, topics.hostMetrics(host), keys),
        )
        .sort(byName),
      ...owned()
        .map((vserver) => {
          const { name, host, state } = vserver;
          const known = online.get(host) === 'online' ? state : 'unknown';
          const one = { kind: 'vserver' as const, name, host, state: known, address: firstOf(vserver) };
          return withFigures(one, topics.vserverMetrics(host, name), keys);
        })
        .sort(byName),
    ];
  }

  return {
    list({ subject, kind, host, keys, after }: Args<'history.newest'>): Data<'history.newest'> {
      const id = (one: NewestFigures) => `${one.kind}/${one.name}`;
      const subjects: NewestFigures[] = [];
      let bytes = 0;
      for (const one of all(keys)) {
        if (subject !== undefined && one.name !== subject) continue;
        if (kind !== undefined && one.kind !== kind) continue;
        if (host !== undefined && one.host !== host) continue;
        if (after !== undefined && id(one) <= after) continue; // "host" is before "vserver", as in the answer
        bytes += JSON.stringify(one).length;
        const before = subjects.at(-1);
        if (bytes > MOST_BYTES && before) return { subjects, next: id(before) };
        subjects.push(one);
      }
      return { subjects };
    },
    /** The uuid of the vserver that has this name now. */
    uuidOf: (name: string): string | undefined => owned().find((one) => one.name === name)?.uuid,
    leftOut: () => leftOut,
    async close(): Promise<void> {
      clearInterval(timer);
      await Promise.all([...ends.map((end) => end()), hosts.close(), vservers.close()]);
    },
  };
}
