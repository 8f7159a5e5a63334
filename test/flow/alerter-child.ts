import { loadSettings } from '../../config/settings.ts';
import { service } from '../../services/alerter/main.ts';
import { connectBus } from '../../shared/bus.ts';
import { createDispatcher } from '../../shared/dispatch.ts';
import { createLog } from '../../shared/log.ts';

// The alerter in a process of its own that a test kills: as `vs service alerter`, but in a hurry.
const settings = loadSettings({ file: '/nonexistent' });
const handlers = {};
const log = createLog(settings.LOG_LEVEL, 'master');
const dispatcher = createDispatcher(handlers, () => undefined); // there is no history here
const bus = connectBus({ settings, target: 'master', dispatcher, log, keep: 'alerter' });
const stalledMs = Number(process.env['STALLED_MS'] ?? 0);
const one = service(
  { host: 'master', bus, settings, log, version: '1.2.3' },
  { tickMs: 50, settleMs: 1500, retryMs: 100, stalledMs },
);
Object.assign(handlers, one.handlers);
await one.start?.();
