/** The machines of the lab, their cards and their addresses. */
export interface Card {
  /** As the VM calls it. */
  device: string;
  wire: 'mgmt' | 'trunk';
  /** The name of its port on the wire. */
  port: string;
  mac: string;
}
export interface Machine {
  name: string;
  role: 'master' | 'host' | 'blank';
  /** On the management network. */
  address: string;
  memoryMiB: number;
  cards: Card[];
  /** Nothing of vs-tools is on it: the suite that it is of. */
  bare?: string;
}

export const blue = { vlan: 10, subnet: '10.60.10.0/24', gateway: '10.60.10.1', mtu: 1496 };
export const green = { vlan: 20, subnet: '10.60.20.0/24', gateway: '10.60.20.1', client: '10.60.20.50' };
/** The master is the router as well, and has the client of VLAN 20 in a network namespace with a card of its own. */
export const master = '10.97.0.1';

const card = (device: string, wire: Card['wire'], port: string, number: number, nth: number): Card => ({
  device,
  wire,
  port,
  mac: `52:54:00:97:${number.toString(16).padStart(2, '0')}:0${nth}`,
});

/** All have the same, and as many cards, for each may go on from the state of the blank one. */
const memoryMiB = 1280;
export const blankMachine: Machine = {
  name: 'blank',
  role: 'blank',
  address: '',
  memoryMiB,
  cards: [1, 2, 3].map((nth) => card(`eth${nth - 1}`, nth === 1 ? 'mgmt' : 'trunk', 'blank', 0, nth)),
};

/** Master, and so many hosts. */
export function machines(hosts = 2): Machine[] {
  const made: Machine[] = [
    {
      name: 'master',
      role: 'master',
      address: master,
      memoryMiB,
      cards: [
        card('eth0', 'mgmt', 'master', 1, 1),
        card('eth1', 'trunk', 'router', 1, 2),
        card('eth2', 'trunk', 'client', 1, 3),
      ],
    },
  ];
  for (let number = 1; number <= hosts; number++) {
    const name = `host${number}`;
    made.push({
      name,
      role: 'host',
      address: `10.97.0.${10 + number}`,
      memoryMiB,
      cards: [
        card('eth0', 'mgmt', name, 16 + number, 1),
        card('eth1', 'trunk', name, 16 + number, 2),
        card('eth2', 'trunk', `${name}-second`, 16 + number, 3),
      ],
    });
  }
  return made;
}

/** networks.conf of the pool: the uplink carries both networks, each with its tag. */
export const networksConf = `# vlan:network/prefix:gateway[:nameserver[:domain]][:options]
10:10.60.10.0/24:10.60.10.1:10.60.10.1:lab.example:name=blue,net6=[fd60:10::/64],gw6=[fd60:10::1],uplink=eth1,mtu=${blue.mtu}
20:10.60.20.0/24:10.60.20.1:10.60.20.1:lab.example:name=green,net6=[fd60:20::/64],gw6=[fd60:20::1],uplink=eth1
`;
