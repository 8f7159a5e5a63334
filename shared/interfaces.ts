import type { FurtherAddress, VserverConfig } from './contract/vserver.ts';
import { vethOf } from './veth.ts';

/** An interface of a vserver: its name inside, the host's end of its veth, and its addresses, the first one first. */
export interface Interface {
  device: string;
  veth: string;
  network: string;
  mac: string;
  addresses: { address: string; prefix: number }[];
  addresses6: { address: string; prefix: number }[];
}
type Addressed = Pick<
  VserverConfig,
  'name' | 'network' | 'mac' | 'address' | 'prefix' | 'address6' | 'prefix6' | 'more'
>;

const four = ({ address, prefix = 32 }: Pick<FurtherAddress, 'address' | 'prefix'>) =>
  address === undefined ? [] : [{ address, prefix }];
const six = ({ address6, prefix6 = 64 }: Pick<FurtherAddress, 'address6' | 'prefix6'>) =>
  address6 === undefined ? [] : [{ address: address6, prefix: prefix6 }];

/** The interfaces of a vserver: eth0 in its network, and one for each further network, in the order in which they came. */
export function interfacesOf(vserver: Addressed): Interface[] {
  const { name, network, mac, more = [] } = vserver;
  const all: Interface[] = [
    { device: 'eth0', veth: vethOf(name), network, mac, addresses: four(vserver), addresses6: six(vserver) },
  ];
  for (const one of more) {
    let at = all.find((known) => known.network === one.network);
    if (!at) {
      const device = `eth${all.length}`;
      const veth = vethOf(name, one.network);
      at = { device, veth, network: one.network, mac: one.mac ?? mac, addresses: [], addresses6: [] };
      all.push(at);
    }
    at.addresses.push(...four(one));
    at.addresses6.push(...six(one));
  }
  return all;
}

type Places = Pick<VserverConfig, 'network' | 'address' | 'address6' | 'more'>;

/** Every address of a vserver, IPv4 and IPv6. */
export const addressesOf = ({ address, address6, more = [] }: Omit<Places, 'network'>): string[] =>
  [address, address6, ...more.flatMap((one) => [one.address, one.address6])].filter(
    (one) => one !== undefined,
  );

/** The networks that a vserver is in, its own first. */
export const networksOf = ({ network, more = [] }: Pick<Places, 'network' | 'more'>): string[] => [
  ...new Set([network, ...more.map((one) => one.network)]),
];

/** What is asked of the network about all of them (`network.check`), those of its own network first. */
export const questionsOf = ({
  network,
  address,
  address6,
  more = [],
}: Pick<FurtherAddress, 'network' | 'address' | 'address6'> & Pick<Places, 'more'>) =>
  [{ network, address, address6 }, ...more].map((one) => ({
    network: one.network,
    ...(one.address === undefined ? {} : { address: one.address }),
    ...(one.address6 === undefined ? {} : { address6: one.address6 }),
  }));
