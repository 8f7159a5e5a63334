import type { Context, Service } from '../../shared/service.ts';
import { commandsOf } from './commands.ts';
import { openWork } from './work.ts';

const TICK_MS = 5000;

/** The backup-scheduler: begins backups by backup.conf, keeps what its rules keep, has backups verified, and tells how all stands. */
export function service(context: Context, { tickMs = TICK_MS } = {}): Service {
  const { log } = context;
  const work = openWork(context);
  let timer: NodeJS.Timeout | undefined;
  let isClosed = false;
  let failing = '';

  function wait(): void {
    if (isClosed) return;
    timer = setTimeout(() => {
      work
        .tick()
        .then(() => (failing = ''))
        .catch((error: unknown) => {
          const text = error instanceof Error ? error.message : String(error);
          if (text !== failing) log.warn({ error: text }, 'the backups could not be looked at; tried again');
          failing = text;
        })
        .finally(wait);
    }, tickMs);
    timer.unref();
  }

  return {
    name: 'backup-scheduler',
    handlers: commandsOf(context, work),
    async start() {
      await work.book.load();
      await work.telling.start();
      wait();
    },
    async stop() {
      isClosed = true;
      clearTimeout(timer);
      await work.telling.stop();
      await work.book.save();
    },
  };
}
