import { existsSync, readdirSync } from 'node:fs';
import { run } from '../shared/run.ts';

const bridge = 'lxcbr0';

const portsOf = (sys: string): string[] => {
  try {
    return readdirSync(`${sys}/class/net/${bridge}/brif`);
  } catch {
    return [];
  }
};

const stopLxcNet = async (): Promise<void> =>
  void (await run(['systemctl', 'stop', 'lxc-net.service'], { timeoutMs: 60_000 }));

/**
 * Debian's lxc starts its bridge, with an address and a DHCP server, when it is installed. From the next boot on the package keeps
 * it off where a vs-tools.conf is (lxc-net.service.d/vs-tools.conf); this stops the one that runs, unless a container is on it.
 * Answers what a person should know, a sentence each.
 */
export async function endLxcNet(
  dropIn = '/lib/systemd/system/lxc-net.service.d/vs-tools.conf',
  sys = '/sys',
  stop = stopLxcNet,
): Promise<string[]> {
  if (!existsSync(dropIn) || !existsSync(`${sys}/class/net/${bridge}`)) return [];
  const ports = portsOf(sys);
  if (ports.length > 0)
    return [
      `${bridge} of lxc-net stays until the next boot, for ${ports.join(', ')} is on it. To have it then as well: docs/install.md.`,
    ];
  try {
    await stop();
    return [
      `Stopped lxc-net (${bridge}), which a pool does not need. To have it all the same: docs/install.md.`,
    ];
  } catch {
    return [`lxc-net could not be stopped: systemctl stop lxc-net. It does not start at the next boot.`];
  }
}
