import { run } from '../../shared/run.ts';
import type { Log } from '../../shared/log.ts';

/**
 * Tells the neighbours where the addresses of a vserver are now, IPv4 and IPv6: setting the same MAC again makes the
 * kernel send gratuitous ARP and unsolicited NA (measured.md). The start hook does it first; this does it twice more,
 * 300 ms apart, in the background: one packet may be lost.
 */
export function announceAgain(pid: number, interfaces: { device: string; mac: string }[], log: Log): void {
  void (async () => {
    for (let again = 0; again < 2; again++) {
      await new Promise((resolve) => setTimeout(resolve, 300));
      for (const { device, mac } of interfaces)
        await run(['nsenter', '-t', String(pid), '-n', 'ip', 'link', 'set', 'dev', device, 'address', mac]);
    }
  })().catch((error: unknown) => log.debug({ error: String(error) }, 'announce again: it has stopped'));
}
