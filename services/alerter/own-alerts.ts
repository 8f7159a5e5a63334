import type { Context } from '../../shared/service.ts';
import type { Queue } from './queue.ts';

/** What is wrong with the alerter itself, as alerts of the master; mails do not tell it, for they may be what is wrong. */
export function openOwnAlerts({ bus, log }: Pick<Context, 'bus' | 'log'>) {
  const firing = new Map<string, string>();
  function say(check: string, severity: 'warning' | 'critical', message: string | undefined): void {
    if (firing.get(check) === message) return;
    if (message === undefined) {
      firing.delete(check);
      bus.alert('alerter', check, null);
      return;
    }
    firing.set(check, message);
    log.warn({ check }, message);
    bus.alert('alerter', check, { ts: Date.now(), severity, message: message.slice(0, 2000) });
  }
  return {
    config: (fault: string | undefined) =>
      say(
        'config',
        'warning',
        fault === undefined
          ? undefined
          : `alerts.conf has a fault, so its lines of before stay in force: ${fault}`,
      ),
    write: (error: string | undefined) =>
      say(
        'write',
        'critical',
        error === undefined
          ? undefined
          : `the alerter cannot write its state, so nobody is told of alerts: ${error}`,
      ),
    damaged: (file: string) =>
      say(
        'damaged',
        'warning',
        `the state of the alerter was damaged: it lies in ${file}, and alerts that fire are told anew`,
      ),
    mail: (waiting: number, error: string | undefined) =>
      say(
        'mail',
        'critical',
        error === undefined || waiting === 0 ? undefined : `messages wait and cannot be sent: ${error}`,
      ),
    refused: (count: number, queue: Pick<Queue, 'refusedDir'>, last: string | undefined) => {
      if (count === 0) say('refused', 'warning', undefined);
      else if (last !== undefined || !firing.has('refused'))
        say(
          'refused',
          'warning',
          `${last ?? 'messages were refused'}; what was refused lies in ${queue.refusedDir}, remove it there when it has been read`,
        );
    },
  };
}
