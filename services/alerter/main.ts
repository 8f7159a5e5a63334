import { join } from 'node:path';
import type { Context, Service } from '../../shared/service.ts';
import { watchClocks } from './clocks.ts';
import { openConfig } from './config.ts';
import { type Engine, openEngine } from './engine.ts';
import { openPool } from './heard.ts';
import { openKeep } from './keep.ts';
import { isNear, sendMail } from './mail.ts';
import { sendOther } from './outputs.ts';
import { openOwnAlerts } from './own-alerts.ts';
import { acknowledge, rowsOf, silenced, unsilenced } from './people.ts';
import { openQueue, type Queued } from './queue.ts';
import { VsError } from '../../shared/errors.ts';

/** So long after a connect all retained alerts were heard, and those of before that are gone were swept (shared/heard.ts). */
const SETTLE_MS = 65_000;
const TICK_MS = 1000;
const PING_PATIENCE_MS = 10_000;

/** The alerter: who is told of alerts, once and rightly (docs/alerts.md). */
export function service(
  context: Context,
  { tickMs = TICK_MS, settleMs = SETTLE_MS, retryMs = 5000, stalledMs = 0 } = {},
): Service {
  const { bus, settings, log } = context;
  const directory = join(settings.STATE_DIR, 'alerter');
  const own = openOwnAlerts(context);
  const config = openConfig(settings, own.config);
  const send = (one: Queued) =>
    one.channel.startsWith('mail:') ? sendMail(one, settings) : sendOther(config.lines(), one);
  const queue = openQueue({
    directory,
    send,
    retryMs,
    told({ waiting, error, refused }) {
      own.mail(waiting, error);
      if (refused)
        own.refused(
          1,
          queue,
          `a message to ${refused.one.channel.replace(/^mail:/, '')} was refused: ${refused.error}`,
        );
    },
  });
  let engine: Engine | undefined;
  const timers: NodeJS.Timeout[] = [];
  let stopPool: (() => Promise<unknown>) | undefined;

  const ready = (): Engine => {
    if (engine) return engine;
    throw new VsError('unavailable', 'the alerter has not started yet', { retryable: true });
  };
  const rows = ({ state, firing, silent }: ReturnType<Engine['look']>) => rowsOf(state, firing, silent);
  async function ping(): Promise<void> {
    if (!engine?.healthy()) return; // so that whoever watches hears nothing
    const answer = await fetch(settings.ALIVE_URL, { signal: AbortSignal.timeout(PING_PATIENCE_MS) });
    await answer.body?.cancel();
  }

  return {
    name: 'alerter',
    handlers: {
      'alerter.list': async () => ({
        alerts: rows(ready().look()),
        silences: ready().look().state.silences,
        queue: { waiting: queue.waiting(), refused: await queue.refused(), error: queue.error() },
      }),
      'alerter.history': async ({ limit }) => ({ alerts: ready().look().state.past.slice(0, limit) }),
      'alerter.ack': async ({ subject, check, why = '' }, { issuer }) => {
        await ready().change(
          (state, now) => acknowledge(state, { subject, check, why, by: issuer }, now).state,
        );
        return {
          alerts: rows(ready().look()).filter((one) => one.subject === subject && one.check === check),
        };
      },
      'alerter.silence': async ({ subject, check, for: ms, from = Date.now(), why }, { issuer }) => {
        const one = { subject, check, from, until: from + ms, by: issuer, why };
        await ready().change((state, now) => silenced(state, one, now));
        bus.event(
          'alerter',
          'silence',
          `${issuer} silenced ${subject} ${check} until ${new Date(one.until).toISOString()}: ${why}`,
          { issuer },
        );
        return one;
      },
      'alerter.unsilence': async ({ subject, check }) => {
        let removed = 0;
        await ready().change((state) => {
          const done = unsilenced(state, subject, check);
          removed = done.removed;
          return done.state;
        });
        return { removed };
      },
      'alerter.test': async ({ to }) => {
        const channels = to === undefined ? config.channels() : [`mail:${to}`];
        if (channels.length === 0)
          throw new VsError(
            'refused',
            `nobody would be told: set MAIL_TO in vs-tools.conf, or write a line into ${config.file} (docs/alerts.md)`,
          );
        return { sent: await ready().test(channels, send) };
      },
    },
    async start() {
      const keep = await openKeep(directory, stalledMs);
      const damaged = keep.damaged();
      if (damaged !== undefined) own.damaged(damaged);
      await queue.load();
      own.refused(await queue.refused(), queue, undefined);
      config.look();
      const pool = await openPool(context, {
        repeatMs: Math.max(0, settleMs - 5000),
        local: isNear(settings.SMTP_URL),
      });
      const stopClocks = await watchClocks(context, settings.CLOCK_SKEW_SECONDS * 1000, () =>
        pool.hosts().map(({ host: name }) => name),
      );
      stopPool = () => Promise.all([stopClocks(), pool.close()]);
      engine = openEngine({ context, keep, queue, config, pool, own, settleMs });
      await engine.recover();
      timers.push(setInterval(() => void engine?.tick(), tickMs));
      if (settings.ALIVE_URL)
        timers.push(
          setInterval(
            () =>
              void ping().catch((error: unknown) =>
                log.warn({ error: String(error) }, 'ALIVE_URL does not answer'),
              ),
            settings.ALIVE_URL_SECONDS * 1000,
          ),
        );
    },
    async stop() {
      for (const timer of timers) clearInterval(timer);
      await engine?.stop();
      await queue.stop();
      await stopPool?.();
    },
  };
}
