import { VsError } from '../../shared/errors.ts';
import type { Network } from '../../shared/contract/network.ts';
import { run } from '../../shared/run.ts';
import { addressesOn, ip, links, sysctl } from './ip.ts';
import { type Step, bridgeOf, cannotJoin, planUp, trunkOf, usersOf } from './plan.ts';
import { isProbe } from '../../shared/veth.ts';
import { guardRules, noGuard } from './rules.ts';

/** A device that carries tags only is brought up, and to the MTU of its networks; one with addresses of the host is the host's. */
async function readyUplink(
  { name }: Network,
  { device, mtu, raise }: Extract<Step, { do: 'uplink' }>,
): Promise<void> {
  const addresses = await addressesOn(device);
  if (raise && addresses.length > 0)
    throw new VsError(
      'refused',
      `network ${name}: its packets have ${mtu} bytes, which ${device} of this host does not take, and it has addresses of the host: raise its MTU in the host's own network configuration, or write a smaller mtu= into networks.conf, or for this host into slaves.conf`,
    );
  if (addresses.length === 0) await sysctl('ipv6', device, 'disable_ipv6', '1');
  await ip('link', 'set', device, ...(raise ? ['mtu', String(mtu)] : []), 'up').catch((error: unknown) => {
    if (!raise) throw error;
    throw new VsError(
      'failed',
      `network ${name}: ${device} of this host cannot take packets of ${mtu} bytes; write mtu= of what it can do into slaves.conf for this host`,
      { cause: error },
    );
  });
}

/** Brings VLAN device, bridge and guard of a network up; what is there stays, the guard is renewed in one transaction. */
export async function bridgeUp(network: Network, mtu: number): Promise<string> {
  const now = await links();
  const bridge = bridgeOf(network);
  if (network.uplink && !now.has(network.uplink))
    throw new VsError(
      'failed',
      `network ${network.name}: this host has no device ${network.uplink} (uplink in networks.conf)`,
    );
  if (network.uplink && !network.tagged && now.get(network.uplink)?.master !== bridge) {
    const why = cannotJoin(network, now, await addressesOn(network.uplink));
    if (why) throw new VsError('refused', why);
  }
  const steps = planUp(network, now, network.mtu ?? mtu);
  for (const step of steps) {
    if (step.do === 'uplink') await readyUplink(network, step);
    else if (step.do === 'vlan') {
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

/** Takes the wire from a bridge that has another one now, or is gone. */
export async function unplug(network: Network): Promise<void> {
  const trunk = trunkOf(network);
  const link = trunk ? (await links()).get(trunk) : undefined;
  if (!link) return;
  if (network.tagged) await ip('link', 'del', link.ifname);
  else if (link.master === bridgeOf(network)) await ip('link', 'set', link.ifname, 'nomaster');
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
