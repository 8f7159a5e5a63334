import type { Data } from '../../shared/contract/commands.ts';
import type { Network } from '../../shared/contract/network.ts';
import { run } from '../../shared/run.ts';
import type { Context } from '../../shared/service.ts';
import { links } from './ip.ts';
import { bridgeOf, trunkOf } from './plan.ts';
import { ownersOf } from './ports.ts';

type Examined = Data<'network.examine'>;
type Device = Examined['devices'][number];

/** What there is of a network on this host; changes nothing. */
export async function examine(context: Context, network: Network): Promise<Examined> {
  const { settings } = context;
  const now = await links();
  const bridge = bridgeOf(network);
  const look = (device: string, role: Device['role']): Device => {
    const link = now.get(device);
    return {
      device,
      role,
      there: link !== undefined,
      up: link?.flags.includes('UP') ?? false,
      carrier: link?.flags.includes('LOWER_UP') ?? false,
      ...(link ? { mtu: link.mtu } : {}),
    };
  };
  const trunk = trunkOf(network);
  const { code, stdout } = await run(['nft', 'list', 'table', 'netdev', `vs_guard_${bridge}`], {
    okCodes: [0, 1],
  });
  return {
    network: { ...network, mtu: network.mtu ?? settings.MTU },
    guard: code === 0 && stdout.includes(`"${bridge}"`),
    devices: [
      ...(network.uplink ? [look(network.uplink, 'uplink')] : []),
      ...(trunk && network.tagged ? [look(trunk, 'vlan')] : []),
      look(bridge, 'bridge'),
      ...[...(await ownersOf(context))]
        .filter(([veth]) => now.get(veth)?.master === bridge)
        .map(([veth, vserver]) => ({ ...look(veth, 'vserver'), vserver })),
    ],
  };
}
