import type { Context } from '../../shared/service.ts';
import type { Config } from './config.ts';
import { digestText, isAliveDue, isDigestDue, plainMessage } from './daily.ts';
import { decide, hostsAway } from './decide.ts';
import { factsFor } from './facts.ts';
import type { Pool } from './heard.ts';
import type { Keep } from './keep.ts';
import type { openOwnAlerts } from './own-alerts.ts';
import type { Outcome, Queue, Queued } from './queue.ts';
import type { Facts } from './parts.ts';
import { render } from './render.ts';
import type { AlerterState, Incident, Message } from './state.ts';
import { momentOf } from './text.ts';

/** A look that did not work for so long means that this alerter is as good as dead (ms). */
const HEALTHY_MS = 60_000;
const REFUSED_LOOK_MS = 30_000;

/** Looks, decides, keeps and queues: one thing after the other. */
export function openEngine(parts: {
  context: Context;
  keep: Keep;
  queue: Queue;
  config: Config;
  pool: Pool;
  own: ReturnType<typeof openOwnAlerts>;
  settleMs: number;
}) {
  const { context, keep, queue, config, pool, own, settleMs } = parts;
  const { bus, settings, log, version } = context;
  const away = new Set<string>();
  let completeFrom = Number.POSITIVE_INFINITY;
  let worked = performance.now();
  let refusedLook = 0;
  let stopped = false;
  let turn: Promise<unknown> = Promise.resolve();
  bus.onConnect(() => (completeFrom = performance.now() + settleMs));

  const isComplete = (): boolean => bus.connected && performance.now() >= completeFrom;

  /** One after the other: a decision is made of what the one before left. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const next = turn.then(work, work);
    turn = next.catch(() => undefined);
    return next;
  }
  /** Hosts that are away for long: an alert of the master for each, as long as that is so. */
  function tellAway(state: AlerterState, now: number): AlerterState {
    if (!bus.connected) return state;
    const hosts = pool.hosts();
    const heard = new Set(hosts.map(({ host }) => host));
    // what is not heard yet is as it was
    const unheard = isComplete() ? [] : Object.keys(state.offline).filter((host) => !heard.has(host));
    const states = [...hosts, ...unheard.map((host) => ({ host, online: false }))];
    const { since, away: gone } = hostsAway(state.offline, states, now, settings.OFFLINE_SECONDS * 1000);
    for (const host of gone)
      if (!away.has(host)) {
        const message = `${host} is unknown since ${momentOf(since[host] ?? now)}: its agent is not on the bus; the host, its network or the agent is down, and what its vservers do is not known`;
        bus.alert(host, 'offline', { ts: now, severity: 'critical', message });
        away.add(host);
      }
    for (const host of away)
      if (!gone.includes(host)) {
        bus.alert(host, 'offline', null);
        away.delete(host);
      }
    return { ...state, offline: since };
  }
  /** Puts what was decided into the queue; again after a crash, with the same ids. Nothing of it was sent before. */
  async function enqueue(): Promise<void> {
    const { outgoing } = keep.now();
    if (outgoing.length === 0) return;
    const known = new Map<string, Facts>();
    for (const message of outgoing) {
      const key = message.notices.map(({ kind, incident }) => `${kind} ${incident.id}`).join();
      const facts = known.get(key) ?? (await factsOf(message));
      known.set(key, facts);
      await queue.add(render(message, facts, { host: settings.HOST, perHour: settings.MAIL_PER_HOUR }));
    }
    await keep.set({ ...keep.now(), outgoing: [] });
    queue.commit();
  }
  async function factsOf(message: Message): Promise<Facts> {
    const facts = await factsFor(context, message);
    for (const { incident } of message.notices.slice(0, 10)) {
      const text = pool.details(incident);
      if (text) facts.details.set(incident.id, text);
    }
    return facts;
  }
  /** The digest, and the mail that says that this one lives. They are marked first: none is better than two. */
  async function daily(now: number): Promise<void> {
    const state = keep.now();
    const [digest, alive] = [isDigestDue(state, settings, now), isAliveDue(state, settings, now)];
    if ((!digest && !alive) || settings.MAIL_TO.length === 0) return;
    const one = (kind: string, subject: string, text: string) =>
      settings.MAIL_TO.map((to, index): Queued =>
        plainMessage({
          seq: state.seq + index + (kind === 'alive' ? 501 : 1),
          channel: `mail:${to}`,
          subject,
          text,
          kind,
          now,
          host: settings.HOST,
        }),
      );
    const text = digestText(state, pool.owners(), now);
    const mails = [
      ...(digest
        ? one('digest', `${settings.HOST}:digest:${Object.keys(state.incidents).length} alerts`, text)
        : []),
      ...(alive
        ? one(
            'alive',
            `${settings.HOST}:alerter:still alive`,
            `The alerter of ${settings.HOST} (vs-tools ${version}) lives. It writes every ${settings.ALIVE_MAIL_HOURS} h; when that stays away, look after it.`,
          )
        : []),
    ];
    await keep.set({
      ...state,
      seq: state.seq + 1001,
      ...(digest ? { digest: now } : {}),
      ...(alive ? { alive: now } : {}),
    });
    for (const mail of mails) await queue.add(mail);
    queue.commit();
  }
  async function lookOnce(): Promise<void> {
    const now = Date.now();
    config.look();
    const before = tellAway(keep.now(), now);
    const heard = {
      alerts: pool.firing(),
      offline: new Set(Object.keys(before.offline)),
      complete: isComplete(),
    };
    const { state, messages } = decide(before, heard, now, config.rules(before));
    // what could not be queued last time is still to be
    await keep.set({ ...state, outgoing: [...state.outgoing, ...messages] });
    await enqueue();
    await daily(now);
    if (queue.waiting() > 0) queue.kick();
    if (performance.now() - refusedLook > REFUSED_LOOK_MS) {
      refusedLook = performance.now();
      own.refused(await queue.refused(), queue, undefined);
    }
    worked = performance.now();
  }
  const silent = (state: AlerterState, now: number) => (one: Incident) =>
    config.rules(state).silent(one, now);
  let ticking = false;

  return {
    /** What a former life decided and perhaps did not queue any more. */
    async recover(): Promise<void> {
      await inTurn(enqueue);
      queue.kick();
    },
    async tick(): Promise<void> {
      if (ticking || stopped) return;
      ticking = true;
      await inTurn(lookOnce)
        .then(
          () => own.write(undefined),
          (error: unknown) => {
            own.write(error instanceof Error ? error.message : String(error));
            log.error({ err: error }, 'the alerter could not do its work');
          },
        )
        .finally(() => (ticking = false));
    },
    healthy: () => performance.now() - worked < HEALTHY_MS,
    look: () => {
      const state = keep.now();
      return { state, firing: pool.firing(), silent: silent(state, Date.now()) };
    },
    /** A change that a person asked for: on disk when this resolves. */
    change: (to: (state: AlerterState, now: number) => AlerterState) =>
      inTurn(() => keep.set(to(keep.now(), Date.now()))),
    async test(channels: string[], send: (one: Queued) => Promise<Outcome>) {
      const now = Date.now();
      const text = `This is a test of vs-tools ${version} on ${settings.HOST}. Alerts would come here.`;
      return Promise.all(
        channels.map(async (channel) => {
          const one = plainMessage({
            seq: 0,
            channel,
            subject: `${settings.HOST}:test:alerts would come here`,
            text,
            kind: 'test',
            now,
            host: settings.HOST,
          });
          const outcome = await send(one).catch((error: unknown): Outcome => ({
            result: 'later',
            error: String(error),
          }));
          return outcome.result === 'sent'
            ? { channel, ok: true }
            : { channel, ok: false, error: outcome.error };
        }),
      );
    },
    async stop(): Promise<void> {
      stopped = true;
      await turn;
    },
  };
}
export type Engine = ReturnType<typeof openEngine>;
