import type { Metrics } from '../../shared/contract/host.ts';
import type { Context } from '../../shared/service.ts';

/** What the firewalls of vservers count, by the service that owns them. A sample never waits for it: the last answer counts. */
export function openWalls({ bus, host, log }: Pick<Context, 'bus' | 'host' | 'log'>) {
  let known = new Map<string, Metrics>();
  let asking = false;

  async function ask(): Promise<void> {
    const { vservers } = await bus.request(host, 'firewall.counters', {}, { timeoutMs: 5000 });
    known = new Map(
      vservers.map(({ name, accepted, denied, rules = [] }) => [
        name,
        {
          fw_accepted_packets_total: accepted.packets,
          fw_denied_packets_total: denied.packets,
          fw_denied_bytes_total: denied.bytes,
          ...Object.fromEntries(
            rules.flatMap(({ title, packets, bytes }) => [
              [`fw_rule_${title}_packets_total`, packets],
              [`fw_rule_${title}_bytes_total`, bytes],
            ]),
          ),
        },
      ]),
    );
  }
  return {
    /** Asks for the counters of the next sample. */
    renew(): void {
      if (asking) return;
      asking = true;
      void ask()
        .catch((error: unknown) => log.debug({ error: String(error) }, 'counters of firewalls'))
        .finally(() => (asking = false));
    },
    of: (name: string): Metrics => known.get(name) ?? {},
  };
}
