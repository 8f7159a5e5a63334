import { VsError } from '../../shared/errors.ts';
import type { Context, Service } from '../../shared/service.ts';
import { entitiesOf, idOf } from './entities.ts';
import { type Told, keepStep } from './keep.ts';
import { openPool } from './pool.ts';

const LIMIT = 200_000;
const SOON_MS = 300;

/** Tells Home Assistant of hosts and vservers (MQTT discovery). Without HOMEASSISTANT_PREFIX it does nothing. */
export function service(context: Context, { graceMs = 60_000 } = {}): Service {
  const { bus, settings, log } = context;
  const prefix = settings.HOMEASSISTANT_PREFIX;
  const told = new Map<string, Told>();
  let pool: Awaited<ReturnType<typeof openPool>> | undefined;
  let stopHearing: (() => Promise<void>) | undefined;
  let timer: NodeJS.Timeout | undefined;
  let due = Number.POSITIVE_INFINITY;

  function within(ms: number): void {
    if (due <= performance.now() + ms) return;
    clearTimeout(timer);
    due = performance.now() + ms;
    timer = setTimeout(tell, ms).unref();
  }
  const soon = () => within(SOON_MS);
  function tell(): void {
    due = Number.POSITIVE_INFINITY;
    if (!pool) return soon();
    const wanted = entitiesOf(prefix, pool.now());
    const texts = new Map([...wanted].map(([topic, payload]) => [topic, JSON.stringify(payload)]));
    const { say, clear, again } = keepStep(told, texts, performance.now(), graceMs);
    for (const topic of say) bus.retain(topic, wanted.get(topic) ?? null);
    for (const topic of clear) bus.retain(topic, null);
    if (say.length + clear.length > 0)
      log.debug({ said: say.length, cleared: clear.length }, 'told Home Assistant');
    if (again !== undefined) within(again + 1);
  }
  /** What a former life told, and nobody took back: of vservers that went while the master was away. */
  function hearOld(): Promise<() => Promise<void>> {
    const ours = new RegExp(
      `^${prefix}/\\w+/${idOf(settings.BASE_TOPIC)}_(host|vserver)_[a-z0-9-]+/\\w+/config$`,
    );
    return bus.subscribe(`${prefix}/+/+/+/config`, (topic, payload) => {
      if (payload === null || told.has(topic) || told.size >= LIMIT || !ours.test(topic)) return;
      told.set(topic, { text: '' });
      soon();
    });
  }

  return {
    name: 'discovery',
    handlers: {},
    async start() {
      if (!prefix) return;
      const [one, other] = [`${prefix}/`, `${settings.BASE_TOPIC}/`];
      if (one.startsWith(other) || other.startsWith(one))
        throw new VsError(
          'usage',
          `HOMEASSISTANT_PREFIX (${prefix}) and BASE_TOPIC (${settings.BASE_TOPIC}) must not lie within one another`,
        );
      pool = await openPool(context, soon);
      stopHearing = await hearOld();
    },
    async stop() {
      clearTimeout(timer);
      due = 0; // nothing more
      await Promise.all([pool?.close(), stopHearing?.()]);
    },
  };
}
