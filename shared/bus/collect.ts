import { type Settings, brokerPassword } from '../../config/settings.ts';
import { parseJson } from '../json.ts';
import type { Log } from '../log.ts';
import { openConnection } from './connection.ts';
import { openSubscriptions } from './subscriptions.ts';

/**
 * Hears `filters` (QoS 1) by a session of its own that the broker keeps: what is published while this process is away
 * comes when it is back, within the limits of the broker. `name` must stay the same, and be used by one process only.
 */
export function openCollector(options: {
  settings: Settings;
  user: string;
  name: string;
  filters: string[];
  onMessage: (topic: string, payload: unknown) => void;
  log: Log;
}): { end(): Promise<void> } {
  const { settings, user, log } = options;
  const connection = openConnection({
    url: settings.BROKER_URL,
    tls: { ca: settings.BROKER_CA, cert: settings.BROKER_CERT, key: settings.BROKER_KEY },
    clientId: `${user}-${options.name}`,
    username: user,
    password: brokerPassword(settings),
    kept: true,
    log,
    onConnect: () => void subscriptions.renew(),
    onLost: () => subscriptions.lost(),
    onMessage(topic, buffer) {
      try {
        options.onMessage(topic, parseJson(buffer.toString()));
      } catch {
        log.debug({ topic }, 'a message that is not valid JSON');
      }
    },
  });
  const subscriptions = openSubscriptions(connection, options.filters, log);
  return { end: () => connection.end() };
}
