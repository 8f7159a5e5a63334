import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Settings } from '../../config/settings.ts';
import { openRaised } from './raised.ts';
import { openSpool } from './spool.ts';

/**
 * What a bus keeps over the end of its process, in STATE_DIR/outbox: events that wait for the broker, and which alerts
 * it may hold. `name`: of the process, so that two on one machine do not share files.
 */
export function openDurable(settings: Settings, name: string, onError: (message: string) => void) {
  const directory = join(settings.STATE_DIR, 'outbox');
  try {
    for (const entry of readdirSync(directory))
      // of a write that was cut off
      if (entry.startsWith(`.${name}.`) && entry.endsWith('.tmp'))
        rmSync(join(directory, entry), { force: true });
  } catch {
    // there is none yet
  }
  const told = (file: string) => (message: string) =>
    onError(`${file} cannot be used, so after a restart what waits for the broker is forgotten: ${message}`);
  const events = join(directory, `${name}.events.jsonl`);
  const alerts = join(directory, `${name}.alerts.json`);
  return {
    spool: openSpool({ file: events, bytes: settings.OUTBOX_BYTES, onError: told(events) }),
    raised: openRaised({ file: alerts, onError: told(alerts) }),
  };
}
