import { firstOf } from '../../shared/addresses.ts';
import type { Args } from '../../shared/contract/commands.ts';
import type { NewestFigures } from '../../shared/contract/history.ts';
import type { Metrics, Status } from '../../shared/contract/host.ts';
import type { VserverState } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';
import type { Client } from '../client.ts';

/** What a host and its vservers say every METRICS_INTERVAL seconds is waited for so long (ms); 10 s is the default. */
const WAIT_MS = 12_000;
/** What is retained is there after so long (ms) and three times what the broker took to answer. */
const RETAINED_MS = 300;

export type Wanted = Omit<Args<'history.newest'>, 'after'>;

/** The newest figures from topics: retained states, and the last metrics of each; `at`: when these came. */
export function fromTopics(
  messages: Map<string, unknown>,
  at: Map<string, number>,
  base: string,
): NewestFigures[] {
  const hosts: NewestFigures[] = [];
  const vservers = new Map<string, { epoch: number; row: NewestFigures }>();
  const online = (host: string) =>
    (messages.get(`${base}/hosts/${host}/status`) as Status | null | undefined)?.state === 'online';
  const figuresAt = (topic: string) => {
    const figures = messages.get(topic) as Metrics | null | undefined;
    return figures ? { figures, ts: at.get(topic) ?? 0 } : { figures: {} };
  };
  for (const [topic, payload] of messages) {
    const [kind, host = '', what, name = '', last] = topic.slice(base.length + 1).split('/');
    if (kind !== 'hosts' || !payload) continue;
    if (what === 'status') {
      const state = online(host) ? 'online' : 'offline';
      hosts.push({
        kind: 'host',
        name: host,
        host,
        state,
        ...figuresAt(`${base}/hosts/${host}/metrics`),
        rates: {},
      });
    }
    if (what !== 'vservers' || last !== 'state') continue;
    const { state, epoch } = payload as VserverState;
    const address = firstOf(payload as VserverState);
    if (!(epoch > (vservers.get(name)?.epoch ?? 0))) continue;
    const figures = figuresAt(`${base}/hosts/${host}/vservers/${name}/metrics`);
    const known = online(host) ? state : 'unknown';
    vservers.set(name, {
      epoch,
      row: { kind: 'vserver', name, host, state: known, address, ...figures, rates: {} },
    });
  }
  const byName = (a: NewestFigures, b: NewestFigures) => a.name.localeCompare(b.name);
  return [...hosts.sort(byName), ...[...vservers.values()].map(({ row }) => row).sort(byName)];
}

const fits = (one: NewestFigures, { subject, kind, host }: Wanted) =>
  (subject === undefined || one.name === subject) &&
  (kind === undefined || one.kind === kind) &&
  (host === undefined || one.host === host);
const isWaitedFor = (one: NewestFigures) =>
  one.ts === undefined && (one.state === 'online' || one.state === 'running');

/** The figures straight from the hosts, while the master is away; rates are not known before the second sample. */
async function hearThem(client: Client) {
  const messages = new Map<string, unknown>();
  const at = new Map<string, number>();
  const rates = new Map<string, Record<string, number>>();
  const { base, all, hostMetrics, vserverMetrics } = client.topics;
  const { isCounter } = await import('../../shared/contract/figures.ts');
  const begun = performance.now();
  await client.subscribe(
    [all.hostStatus, all.vserverState, hostMetrics('+'), vserverMetrics('+', '+')],
    (topic, payload) => {
      const before = messages.get(topic) as Metrics | undefined;
      if (topic.endsWith('/metrics') && before && payload) {
        const now = payload as Metrics;
        const seconds = (Number(now['ts']) - Number(before['ts'])) / 1000;
        const grown = Object.entries(now).flatMap(([key, value]) =>
          typeof value === 'number' && isCounter(key) && seconds > 0
            ? [[key, Math.max(0, value - Number(before[key] ?? value)) / seconds]]
            : [],
        );
        rates.set(topic, Object.fromEntries(grown) as Record<string, number>);
      }
      messages.set(topic, payload);
      at.set(topic, Date.now());
    },
  );
  const retained = RETAINED_MS + 3 * (performance.now() - begun);
  const rows = (wanted: Wanted) =>
    fromTopics(messages, at, base)
      .filter((one) => fits(one, wanted))
      .map((one) => {
        const topic = one.kind === 'host' ? hostMetrics(one.host) : vserverMetrics(one.host, one.name);
        return Object.assign(one, { rates: rates.get(topic) ?? {} });
      });
  return {
    rows,
    async settled(wanted: Wanted[]): Promise<void> {
      const isThere = () => !wanted.some((one) => rows(one).some(isWaitedFor));
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, begun + retained - performance.now())));
      while (!isThere() && performance.now() < begun + WAIT_MS)
        await Promise.race([new Promise((resolve) => setTimeout(resolve, 100)), client.lost]);
    },
  };
}

/** Answers a function that asks for the newest figures: of the master's memory, or, while it is away, of the topics. */
export function openNewest(client: Client) {
  let topics: Awaited<ReturnType<typeof hearThem>> | undefined;
  async function ofMaster(wanted: Wanted): Promise<NewestFigures[]> {
    const all: NewestFigures[] = [];
    let after: string | undefined;
    do {
      const args = { ...wanted, ...(after === undefined ? {} : { after }) };
      const { subjects, next } = await client.request('master', 'history.newest', args, { timeoutMs: 3000 });
      all.push(...subjects);
      after = next;
    } while (after !== undefined);
    return all;
  }
  return async (wanted: Wanted[]): Promise<NewestFigures[]> => {
    if (!topics)
      try {
        return (await Promise.all(wanted.map(ofMaster))).flat();
      } catch (error) {
        if (!(error instanceof VsError) || error.code !== 'unavailable') throw error;
        topics = await hearThem(client); // throws when it is the broker that is away
        process.stderr.write('The master does not answer; these are the figures that the hosts tell.\n');
      }
    await topics.settled(wanted);
    return wanted.flatMap(topics.rows);
  };
}
