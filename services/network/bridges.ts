import { VsError } from '../../shared/errors.ts';
import type { Network } from '../../shared/contract/network.ts';
import { run } from '../../shared/run.ts';
import { ip, links, sysctl } from './ip.ts';
import { bridgeOf, planUp, trunkOf, usersOf } from './plan.ts';
import { isProbe } from './probe.ts';
import { guardRules, noGuard } from './rules.ts';

/** Brings VLAN device, bridge and guard of a network up; what is there stays, the guard is renewed in one transaction. */
export async function bridgeUp(network: Network, mtu: number): Promise<string> {
  const now = await links();
  const bridge = bridgeOf(network);
  if (network.uplink && !now.has(network.uplink))
    throw new VsError(
      'failed',
      `network ${network.name}: this host has no device ${network.uplink} (uplink in networks.conf)`,
    );
  const steps = planUp(network, now, network.mtu ?? mtu);
  for (const step of steps) {
    if (step.do === 'vlan') {
      await ip(
        'link',
        'add',
        'link',
        step.uplink,
        'name',
        step.device,
        'type',
        'vlan',
        'id',
        String(step.vlan),
      );
      await sysctl('ipv6', step.device, 'disable_ipv6', '1');
    } else if (step.do === 'bridge') {
      await ip('link', 'add', step.device, 'type', 'bridge', 'forward_delay', '0', 'stp_state', '0');
    } else if (step.do === 'guard') {
      await sysctl('ipv6', step.device, 'disable_ipv6', '1');
      await run(['nft', '-f', '-'], { input: guardRules(network) });
      if (!step.ready) await ip('link', 'set', step.device, 'mtu', String(step.mtu), 'up');
    } else {
      await sysctl('ipv6', step.device, 'disable_ipv6', '1');
      await ip('link', 'set', step.device, 'mtu', String(step.mtu), 'master', step.bridge, 'up');
    }
  }
  return bridge;
}

/** Takes a network down unless a vserver is on it. */
export async function bridgeDown(network: Network): Promise<boolean> {
  const now = await links();
  const bridge = bridgeOf(network);
  for (const [name, link] of now) {
    if (link.master !== bridge || !isProbe(name)) continue; // left by a check that was killed
    await ip('link', 'del', name);
    now.delete(name);
  }
  if (!now.has(bridge) || usersOf(network, now).length > 0) return false;
  await ip('link', 'del', bridge);
  await run(['nft', '-f', '-'], { input: noGuard(network) });
  const trunk = trunkOf(network);
  if (network.tagged && trunk && now.has(trunk)) await ip('link', 'del', trunk);
  return true;
}
