import { readFile } from 'node:fs/promises';
import type { Finding } from '../../shared/contract/doctor.ts';
import type { Network } from '../../shared/contract/network.ts';
import type { VserverState } from '../../shared/contract/vserver.ts';
import { about } from './finding.ts';

/** A device of this host, as /sys/class/net tells; undefined where there is none. */
export type Device = { mtu: number; state: string } | undefined;

/** Decides whether the networks of networks.conf can come up on this host. */
export function judgeNetworks(
  networks: { network: Network; up: boolean }[],
  devices: Map<string, Device>,
  vservers: Pick<VserverState, 'name' | 'network'>[],
  mtu: number,
): Finding[] {
  const { ok, warn, fail } = about('networks');
  const findings: Finding[] = [];
  if (networks.length === 0)
    findings.push(
      warn('networks.conf has no network, so no vserver can be placed here', 'write one into networks.conf'),
    );
  for (const { network, up } of networks) {
    const { name, uplink } = network;
    const wanted = network.mtu ?? mtu;
    const device = uplink === undefined ? undefined : devices.get(uplink);
    if (uplink === undefined) findings.push(ok(`${name}: within this host only${up ? ', up' : ''}`, name));
    else if (!device)
      findings.push(
        fail(`${name}: this host has no device ${uplink}`, `mend uplink= in networks.conf`, name),
      );
    else if (device.state === 'down')
      findings.push(
        warn(`${name}: ${uplink} has no link`, `ip link set ${uplink} up, or look at its cable`, name),
      );
    else if (device.mtu < wanted)
      findings.push(
        fail(
          `${name}: ${uplink} takes packets of ${device.mtu} bytes, its vservers send ${wanted}`,
          `ip link set ${uplink} mtu ${wanted}, or mtu=${device.mtu} in networks.conf`,
          name,
        ),
      );
    else findings.push(ok(`${name}: by ${uplink}${up ? ', up' : ''}`, name));
  }
  for (const one of vservers)
    if (!networks.some(({ network }) => network.name === one.network))
      findings.push(
        fail(
          `${one.name} is in network ${one.network}, which networks.conf of this host has not`,
          'add it to networks.conf, or move the vserver',
          one.name,
        ),
      );
  return findings;
}

/** Asks the kernel for the devices of these names. */
export async function devicesOf(names: string[]): Promise<Map<string, Device>> {
  const devices = new Map<string, Device>();
  for (const name of names) {
    const read = (file: string) => readFile(`/sys/class/net/${name}/${file}`, 'utf8').catch(() => undefined);
    const mtu = await read('mtu');
    const state = (await read('operstate'))?.trim() ?? 'unknown';
    devices.set(name, mtu === undefined ? undefined : { mtu: Number(mtu), state });
  }
  return devices;
}
