import { readFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import type { Finding } from '../../shared/contract/doctor.ts';
import type { Network } from '../../shared/contract/network.ts';
import type { VserverState } from '../../shared/contract/vserver.ts';
import { about } from './finding.ts';

/** The flag of a device that is switched on (netdevice(7)). */
const IFF_UP = 1;

/** A device of this host; undefined where there is none. */
export type Device =
  | {
      mtu: number;
      state: string;
      /** Switched on, whether it has a link or not. */
      on?: boolean;
      /** It has addresses of the host. */
      addressed?: boolean;
    }
  | undefined;
/** Where the networks of this host are written. */
export type Source = 'master' | 'file';

function judgeUplink(network: Network, up: boolean, device: Device, mtu: number, source: Source): Finding {
  const { ok, warn, fail } = about('networks');
  const { name, uplink = '', tagged } = network;
  const wanted = network.mtu ?? mtu;
  const files = source === 'master' ? "the master's networks.conf or slaves.conf" : 'networks.conf';
  const apply = source === 'master' ? ', then: vs net apply' : '';
  if (!device)
    return fail(`${name}: this host has no device ${uplink}`, `mend uplink= in ${files}${apply}`, name);
  // one that carries tags comes up, and takes larger packets, with its network
  const isOurs = tagged && !up;
  if (device.state === 'down' && !(isOurs && device.on === false))
    return warn(`${name}: ${uplink} has no link`, `ip link set ${uplink} up, or look at its cable`, name);
  if (device.mtu >= wanted) return ok(`${name}: by ${uplink}${up ? ', up' : ''}`, name);
  const small = `${name}: ${uplink} takes packets of ${device.mtu} bytes, its vservers send ${wanted}`;
  if (isOurs && !device.addressed)
    return ok(`${name}: by ${uplink}, which is raised to packets of ${wanted} bytes when it comes up`, name);
  const raise =
    tagged && device.addressed
      ? `it has addresses of the host: raise its MTU to ${wanted} in the host's own network configuration`
      : `ip link set ${uplink} mtu ${wanted}`;
  return fail(small, `${raise}, or mtu=${device.mtu} in ${files}${apply}`, name);
}

/** Decides whether the networks of this host can come up on it. */
export function judgeNetworks(
  networks: { network: Network; up: boolean }[],
  devices: Map<string, Device>,
  vservers: Pick<VserverState, 'name' | 'network'>[],
  { mtu, source }: { mtu: number; source: Source },
): Finding[] {
  const { ok, warn, fail } = about('networks');
  const isMasters = source === 'master';
  const findings: Finding[] = [];
  if (networks.length === 0)
    findings.push(
      warn(
        `${isMasters ? 'the pool' : 'networks.conf'} has no network, so no vserver can be placed here`,
        isMasters ? 'on the master: vs net add' : 'write one into networks.conf',
      ),
    );
  for (const { network, up } of networks) {
    const { name, uplink } = network;
    findings.push(
      uplink === undefined
        ? ok(`${name}: within this host only${up ? ', up' : ''}`, name)
        : judgeUplink(network, up, devices.get(uplink), mtu, source),
    );
  }
  for (const one of vservers)
    if (!networks.some(({ network }) => network.name === one.network))
      findings.push(
        fail(
          `${one.name} is in network ${one.network}, which ${isMasters ? 'the pool' : 'networks.conf of this host'} has not`,
          `${isMasters ? 'add it on the master: vs net add' : 'add it to networks.conf'}, or move the vserver`,
          one.name,
        ),
      );
  return findings;
}

/** Asks the kernel for the devices of these names. */
export async function devicesOf(names: string[]): Promise<Map<string, Device>> {
  const devices = new Map<string, Device>();
  const own = networkInterfaces();
  for (const name of names) {
    const read = (file: string) => readFile(`/sys/class/net/${name}/${file}`, 'utf8').catch(() => undefined);
    const mtu = await read('mtu');
    const state = (await read('operstate'))?.trim() ?? 'unknown';
    const on = (Number((await read('flags'))?.trim() ?? 1) & IFF_UP) !== 0;
    const addressed = (own[name] ?? []).some(({ address }) => !address.startsWith('fe80:'));
    devices.set(name, mtu === undefined ? undefined : { mtu: Number(mtu), state, on, addressed });
  }
  return devices;
}
