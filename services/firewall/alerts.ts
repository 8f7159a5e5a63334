import type { Context } from '../../shared/service.ts';
import type { Known } from './names.ts';

/** What is wrong with the firewalls of vservers, while it is. */
export function createAlerts({ bus, host }: Pick<Context, 'bus' | 'host'>) {
  /** Checks that fire, by vserver. */
  const firing = { 'firewall-names': new Set<string>(), firewall: new Set<string>() };

  function tell(name: string, check: keyof typeof firing, message: string | undefined): void {
    if (message !== undefined) {
      firing[check].add(name);
      bus.alert(name, check, { ts: Date.now(), severity: 'warning', message: message.slice(0, 2000) });
    } else if (firing[check].delete(name)) bus.alert(name, check, null);
  }
  return {
    /** Names that do not resolve. */
    names(name: string, known: Known): void {
      const stale = Object.entries(known).filter(([, one]) => one.stale);
      if (stale.length === 0) return tell(name, 'firewall-names', undefined);
      const lost = stale.filter(([, one]) => one.four.length + one.six.length === 0).map(([one]) => one);
      const parts = [
        `in the firewall of ${name} these names do not resolve on ${host}: ${stale.map(([one]) => one).join(', ')}`,
        lost.length < stale.length ? '; their last addresses stay in force' : '',
        lost.length > 0
          ? `; no address was ever known of ${lost.join(', ')}, so rules match nothing by it`
          : '',
      ];
      tell(name, 'firewall-names', parts.join(''));
    },
    /** A file with a fault does nothing to what runs, but keeps it from its next start. */
    fault(name: string, message?: string): void {
      const lead = `the firewall of ${name} cannot be loaded anew, so it could not start again: `;
      tell(name, 'firewall', message === undefined ? undefined : `${lead}${message}`);
    },
    /** Of vservers that run here no more. */
    forget(running: Set<string>): void {
      for (const check of ['firewall-names', 'firewall'] as const)
        for (const name of firing[check]) if (!running.has(name)) tell(name, check, undefined);
    },
  };
}
export type Alerts = ReturnType<typeof createAlerts>;
