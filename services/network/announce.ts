import { run } from '../../shared/run.ts';
import type { Log } from '../../shared/log.ts';

/**
 * Tells the neighbours where the addresses of a vserver are now, IPv4 and IPv6: setting the same MAC again makes the
 * kernel send gratuitous ARP and unsolicited NA (measured.md). Once at once, twice more in the background.
 */
export async function announce(pid: number, mac: string, log: Log): Promise<void> {
  const inside = ['nsenter', '-t', String(pid), '-n'];
  const once = () => run([...inside, 'ip', 'link', 'set', 'dev', 'eth0', 'address', mac]);
  for (const key of ['ipv4/conf/eth0/arp_notify', 'ipv6/conf/eth0/ndisc_notify']) {
    await run([...inside, 'tee', `/proc/sys/net/${key}`], { input: '1' }).catch((error: unknown) =>
      log.debug({ error: String(error) }, 'announce'),
    );
  }
  await once();
  void (async () => {
    for (let again = 0; again < 2; again++) {
      await new Promise((resolve) => setTimeout(resolve, 300));
      await once();
    }
  })().catch((error: unknown) => log.debug({ error: String(error) }, 'announce again: it has stopped'));
}
