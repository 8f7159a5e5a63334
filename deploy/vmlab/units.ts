import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { cardsScript, entropyFile } from './blank.ts';
import { mirrorAt } from './mirror.ts';
import { type Machine, blue, green, networksConf } from './model.ts';

/** Where the project lies in each VM: a disk of its own, which is packed anew at each run. */
export const projectAt = '/usr/lib/vs-tools';
/** The prober of the client on the master. */
export const proberAt = '/usr/local/lib/vmlab/prober.pl';

/** A file of the package. */
const packaged = (file: string): string =>
  readFileSync(new URL(`../package/files/${file}`, import.meta.url), 'utf8');
/** A unit as the package has it. */
const unit = (name: string): Record<string, string> => ({
  [`etc/systemd/system/${name}.service`]: packaged(`units/${name}.service`),
  [`etc/systemd/system/${name}.service.d/vmlab.conf`]: patience,
});
/** An emulated processor that others compute beside may be silent for minutes. */
const patience = '[Service]\nTimeoutStartSec=900\nWatchdogSec=900\n';

/** Router between the networks, and a client in the other one that has a card of its own: what they say goes over the wire. */
const routerScript = `#!/bin/sh
set -eu
while ! { [ -e /sys/class/net/eth1 ] && [ -e /sys/class/net/eth2 ]; }; do sleep 0.2; done
echo 1 > /proc/sys/net/ipv4/ip_forward
echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
ip link set eth1 up
ip link add link eth1 name eth1.10 type vlan id 10
ip link add link eth1 name eth1.20 type vlan id 20
ip link set eth1.10 mtu ${blue.mtu}
for net in 10 20; do
  ip address add 10.60.$net.1/24 dev eth1.$net
  ip -6 address add fd60:$net::1/64 dev eth1.$net nodad
  ip link set eth1.$net up
done
ip netns add client
ip link set eth2 netns client
at="ip -n client"
$at link set lo up
$at link set eth2 up
$at link add link eth2 name eth2.20 type vlan id 20
$at address add ${green.client}/24 dev eth2.20
$at -6 address add fd60:20::50/64 dev eth2.20 nodad
$at link set eth2.20 up
$at route add default via ${green.gateway}
$at -6 route add default via fd60:20::1
`;
const routerUnit = `[Unit]
Description=router of the lab
After=systemd-networkd.service network-online.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/vmlab-router
[Install]
WantedBy=multi-user.target
`;

/** Says on the console that one can come in: asking the server of ssh too early too often makes it refuse. */
export const ready = 'vmlab-ready';
const warmUp = `ExecStartPre=/bin/mkdir -p /var/cache/vs-tools/node
ExecStartPre=-/bin/cp -rn ${projectAt}/.compiled/. /var/cache/vs-tools/node
`;
const readyUnit = (needs: string, before: string): string => `[Unit]
Description=tells the lab
After=ssh.service systemd-networkd.service
${needs}[Service]
Type=oneshot
${before}ExecStart=/bin/echo ${ready}
StandardOutput=file:/dev/ttyS0
[Install]
WantedBy=multi-user.target
`;

const network = (mac: string, lines: string): string => `[Match]
MACAddress=${mac}
Type=ether
[Link]
RequiredForOnline=no
[Network]
LinkLocalAddressing=no
IPv6AcceptRA=no
${lines}`;

/** The card that only this machine reaches, for ssh. */
export const outsideMac = (number: number): string =>
  `52:54:00:98:00:${number.toString(16).padStart(2, '0')}`;

/** Management has an address, and on hosts the way to the vservers' networks (as if the host's gateway knew them); trunks have none. */
function networkFiles(machine: Machine, number: number): Record<string, string> {
  const files: Record<string, string> = {
    'etc/systemd/network/10-outside.network': network(outsideMac(number), 'Address=10.0.2.15/24\n'),
  };
  for (const card of machine.cards) {
    const route = machine.role === 'host' ? `[Route]\nDestination=10.60.0.0/16\nGateway=10.97.0.1\n` : '';
    const lines = card.wire === 'mgmt' ? `Address=${machine.address}/24\n${route}` : '';
    files[`etc/systemd/network/10-${card.device}.network`] = network(card.mac, lines);
  }
  return files;
}

export interface Keys {
  /** Who may come in. */
  authorized: string;
  /** Of the VMs of this run. */
  host: string;
  hostPublic: string;
}

/** Gives the cards of a VM that was blank the addresses of the machine that it becomes. */
const cardsOf = (machine: Machine, number: number): string =>
  [
    ...machine.cards.map(({ device, mac }) => `ip link set ${device} address ${mac}\n`),
    `ip link set eth${machine.cards.length} address ${outsideMac(number)}\n`,
  ].join('');

/** What makes a machine of the lab of any VM: its names, keys, addresses, and on the master the router with its client. */
function ownFiles(machine: Machine, all: Machine[], keys: Keys): Record<string, string> {
  const number = all.indexOf(machine) + 1;
  const names = all.map((one) => `${one.address} ${one.name}\n`).join('');
  return {
    'etc/hostname': `${machine.name}\n`,
    'etc/hosts': `127.0.0.1 localhost\n::1 localhost\n${names}`,
    'root/.ssh/authorized_keys': keys.authorized,
    'etc/ssh/ssh_host_ed25519_key': keys.host,
    'etc/ssh/ssh_host_ed25519_key.pub': keys.hostPublic,
    'etc/ssh/sshd_config.d/vmlab.conf':
      'PermitRootLogin prohibit-password\nUseDNS no\nUsePAM no\nMaxSessions 50\n',
    [cardsScript]: cardsOf(machine, number),
    [entropyFile]: `${randomBytes(64).toString('hex')}\n`,
    ...networkFiles(machine, number),
    ...(machine.role === 'master'
      ? {
          'etc/systemd/system/vmlab-router.service': routerUnit,
          'usr/local/sbin/vmlab-router': routerScript,
          [proberAt.slice(1)]: readFileSync(new URL('prober.pl', import.meta.url), 'utf8'),
        }
      : {}),
  };
}

/** The files of a bare machine: nothing of vs-tools, but the packages from which it can be installed, and patience. */
export const bareFilesOf = (machine: Machine, all: Machine[], keys: Keys): Record<string, string> => ({
  ...ownFiles(machine, all, keys),
  'etc/hosts': `127.0.0.1 localhost\n::1 localhost\n${all.map(({ address, name }) => `${address} ${name}.example ${name}\n`).join('')}`,
  'etc/fstab': `/dev/vdc ${mirrorAt} ext4 ro,x-systemd.device-timeout=15min 0 0\n`,
  'etc/apt/sources.list': `deb [trusted=yes] copy:${mirrorAt} ${machine.bare ?? ''} main\n`,
  'etc/systemd/system/vmlab-ready.service': readyUnit(`RequiresMountsFor=${mirrorAt}\n`, ''),
  ...Object.fromEntries(
    ['vs-broker', 'vs-master', 'vs-agent'].map((name) => [
      `etc/systemd/system/${name}.service.d/vmlab.conf`,
      patience,
    ]),
  ),
});

/** The files that make one VM out of the image, by path; those with a shebang and secrets get their modes by seed.ts. */
export function filesOf(machine: Machine, all: Machine[], keys: Keys): Record<string, string> {
  const isHost = machine.role === 'host';
  return {
    ...ownFiles(machine, all, keys),
    'etc/fstab': `/dev/vdc ${projectAt} ext4 ro,x-systemd.device-timeout=15min 0 0\n${isHost ? '/dev/vdd /var/lib/vservers ext4 prjquota,x-systemd.device-timeout=15min 0 0\n' : ''}`,
    'etc/subuid': 'root:100000:65536\n',
    'etc/subgid': 'root:100000:65536\n',
    'etc/vs-tools/networks.conf': networksConf,
    'etc/modules-load.d/vs-tools.conf': packaged('modules-load.conf'),
    'etc/systemd/system/vmlab-ready.service': readyUnit(`RequiresMountsFor=${projectAt}\n`, warmUp),
    'etc/ssh/ssh_host_ed25519_key': keys.host,
    'etc/ssh/ssh_host_ed25519_key.pub': keys.hostPublic,
    'etc/ssh/sshd_config.d/vmlab.conf':
      'PermitRootLogin prohibit-password\nUseDNS no\nUsePAM no\nMaxSessions 50\n',
    ...(isHost
      ? {
          ...unit('vs-agent'),
          ...unit('vs-vservers'),
        }
      : {
          ...unit('vs-broker'),
          ...unit('vs-master'),
          'etc/vs-tools/slaves.conf': all
            .filter((one) => one.role === 'host')
            .map((one) => `${one.name}\n`)
            .join(''),
        }),
  };
}

/** Units that begin at the boot. */
export const unitsOf = (machine: Machine): string[] =>
  machine.role === 'blank'
    ? ['vmlab-adopt.service']
    : machine.bare
      ? ['vmlab-ready.service', ...(machine.role === 'master' ? ['vmlab-router.service'] : [])]
      : machine.role === 'host'
        ? ['vmlab-ready.service', 'vs-agent.service', 'vs-vservers.service']
        : ['vmlab-ready.service', 'vs-broker.service', 'vs-master.service', 'vmlab-router.service'];
