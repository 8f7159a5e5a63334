import { loadSlaves } from '../../config/slaves.ts';
import { pressureAlert } from '../../shared/contract/pressure.ts';
import type { SagaState } from '../../shared/contract/saga.ts';
import { openHeard } from '../../shared/heard.ts';
import { networksOf } from '../../shared/interfaces.ts';
import { planMove } from './plans/move.ts';
import type { Deciding } from './plans/planned.ts';
import { type Ask, type Asked, type Next, type Relief, nextRelief } from './relief-decide.ts';
import { roomsOf } from './rooms.ts';
import type { Runner } from './runner.ts';

/** How often (ms) it is looked whether a host asks. */
const LOOK_MS = 5000;
const MOST_HOSTS = 10_000;
/** So many sagas back it is looked for moves of that kind, after a start. */
const PAST = 2000;
/** Who begins these moves; their args name the host that asked, which those of a command cannot. */
const ISSUER = 'orchestrator';

/** A move that a host asked for, of its saga; undefined: it is another one. */
export function reliefOf({ kind, vserver, args, result, ended }: SagaState): Relief | undefined {
  const { host: to, pressure: from } = args;
  if (kind !== 'move' || typeof to !== 'string' || typeof from !== 'string') return undefined;
  // one that is stuck may be anywhere: nothing more goes until a person has looked
  const isOver = result === 'done' || result === 'undone';
  return { name: vserver, from, to, isDone: result === 'done', ended: isOver ? ended : undefined };
}

/** Moves vservers away from hosts whose memory is short and that ask for it (PRESSURE=evacuate). */
export function openRelief(deciding: Deciding, sagas: Pick<Runner, 'begin' | 'list'>) {
  const { context, pool } = deciding;
  const { bus, log, settings } = context;
  /** By saga, so that one that a person resumes counts as it ends. */
  let past: Map<string, SagaState> | undefined;
  /** By vserver: what was refused before a saga began, until when, and why. */
  const refused = new Map<string, Relief>();
  let heard: Awaited<ReturnType<typeof openHeard<typeof pressureAlert>>> | undefined;
  let timer: NodeJS.Timeout | undefined;
  let busy = false;

  const asks = (): Ask[] =>
    (heard?.all() ?? []).flatMap(({ topic, value }): Ask[] => {
      const host = topic.slice(bus.topics.base.length + 1).split('/')[1] ?? '';
      const wishes = value.evacuate ?? [];
      return pool.isOnline(host) && wishes.length > 0 ? [{ host, wishes }] : [];
    });
  function known(): Relief[] {
    past ??= new Map(
      sagas
        .list({ limit: PAST })
        .filter(reliefOf)
        .map((one) => [one.id, one]),
    );
    for (const one of sagas.list({ limit: 200 })) if (past.has(one.id)) past.set(one.id, one);
    return [...[...past.values()].flatMap((one) => reliefOf(one) ?? []), ...refused.values()];
  }
  function vservers(all: readonly Ask[]): Map<string, Asked> {
    const found = pool.all().filter(({ host }) => all.some((ask) => ask.host === host));
    return new Map(
      found.map(({ name, host, network, more, limits, state, epoch, saga }) => [
        name,
        {
          name,
          host,
          network,
          also: networksOf({ network, more }).slice(1),
          memory: limits.memory_bytes ?? 0,
          isFree: state === 'running' && epoch > 0 && saga === undefined,
        },
      ]),
    );
  }
  async function begin({ name, from, to }: Next): Promise<void> {
    const args = { name, host: to };
    try {
      const planned = await planMove(deciding, args);
      const { state } = sagas.begin(planned, { ...args, pressure: from }, ISSUER, false);
      past?.set(state.id, state);
      refused.delete(name);
      log.info({ vserver: name, from, to, saga: state.id }, 'the memory of a host is short');
      bus.event('orchestrator', 'relief', `${name} moves to ${to}, for ${from} has too little memory`, {
        vserver: name,
      });
    } catch (error) {
      refused.set(name, { name, from, to, isDone: false, ended: Date.now() });
      log.warn({ vserver: name, from, to, error: String(error) }, 'could not be moved for want of memory');
    }
  }
  async function look(): Promise<void> {
    const all = asks();
    if (busy || all.length === 0) return;
    busy = true;
    try {
      await deciding.marks.load();
      const slaves = await loadSlaves(settings);
      const skipped = slaves.filter((one) => one.noselect).map((one) => one.host);
      const next = nextRelief(
        all,
        vservers(all),
        roomsOf(deciding, '', undefined, skipped),
        known(),
        Date.now(),
      );
      if (next) await begin(next);
    } catch (error) {
      log.warn({ error: String(error) }, 'hosts that ask for relief');
    } finally {
      busy = false;
    }
  }
  return {
    async start(): Promise<void> {
      heard = await openHeard(bus, bus.topics.alert('+', 'host', 'pressure'), pressureAlert, {
        limit: MOST_HOSTS,
      });
    },
    /** Once the sagas of a former life hold their vservers. */
    begin: (): void => void (timer = setInterval(() => void look(), LOOK_MS)),
    stop: () => clearInterval(timer),
  };
}
