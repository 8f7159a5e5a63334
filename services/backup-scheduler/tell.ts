import { backupState, type BackupState } from '../../shared/contract/backup-scheduler.ts';
import type { Context } from '../../shared/service.ts';
import type { Told } from './health.ts';

/** What a former life told of vservers that nobody knows any more is cleared so long (ms) after the start. */
const HEARD_MS = 30_000;

/** Publishes states and alerts, only what has changed, and takes back what does not hold any more. */
export function openTelling({ bus }: Pick<Context, 'bus'>) {
  const said = new Map<string, string>();
  const raised = new Map<string, string>();
  /** Undefined: nothing was told yet. */
  let wanted: Set<string> | undefined;
  let stop: (() => Promise<void>) | undefined;
  let timer: NodeJS.Timeout | undefined;

  return {
    /** Hears what a former life has said. */
    async start(): Promise<void> {
      const old = new Set<string>();
      stop = await bus.subscribe(bus.topics.backupState('+'), (topic, payload) => {
        if (payload !== null && backupState.safeParse(payload).success) old.add(topic);
      });
      const clear = () => {
        timer = undefined;
        if (!wanted) {
          later();
          return;
        }
        for (const topic of old) if (!wanted.has(topic) && !said.has(topic)) bus.retain(topic, null);
        void stop?.();
        stop = undefined;
      };
      const later = () => {
        timer = setTimeout(clear, HEARD_MS).unref();
      };
      later();
    },
    states(states: BackupState[]): void {
      const topics = new Set(states.map((one) => bus.topics.backupState(one.vserver)));
      wanted = topics;
      for (const one of states) {
        const topic = bus.topics.backupState(one.vserver);
        const { ts: _, ...rest } = one;
        const text = JSON.stringify(rest);
        if (said.get(topic) === text) continue;
        said.set(topic, text);
        bus.retain(topic, one);
      }
      for (const topic of said.keys())
        if (!topics.has(topic)) {
          said.delete(topic);
          bus.retain(topic, null);
        }
    },
    /** Those that fire, by `subject/check`. */
    alerts(alerts: Map<string, Told>): void {
      for (const [key, { severity, message }] of alerts) {
        const text = `${severity} ${message}`;
        if (raised.get(key) === text) continue;
        raised.set(key, text);
        const [subject = '', check = ''] = key.split('/');
        bus.alert(subject, check, { ts: Date.now(), severity, message });
      }
      for (const key of raised.keys())
        if (!alerts.has(key)) {
          raised.delete(key);
          const [subject = '', check = ''] = key.split('/');
          bus.alert(subject, check, null);
        }
    },
    async stop(): Promise<void> {
      clearTimeout(timer);
      await stop?.();
    },
  };
}
