import type { Metrics } from '../../shared/contract/host.ts';
import { isProbe, isVeth } from '../../shared/veth.ts';
import { fieldOf, readKernel } from './read.ts';

export interface Interface {
  name: string;
  rx: Flow;
  tx: Flow;
}
interface Flow {
  bytes: number;
  packets: number;
  errors: number;
  drops: number;
}
const directions = ['rx', 'tx'] as const;
/** More interfaces of a host than this are not published, for its figures are one message. */
const PUBLISHED = 12;

/** The interfaces of /proc/PID/net/dev, less loopback. */
export function interfacesOf(text: string): Interface[] {
  const found: Interface[] = [];
  for (const line of text.split('\n').slice(2)) {
    const [, name, rest] = /^\s*(\S+):\s*(.*)$/.exec(line) ?? [];
    if (name === undefined || rest === undefined || name === 'lo') continue;
    const values = rest.trim().split(/\s+/).map(Number);
    const flow = (at: number): Flow => ({
      bytes: values[at] || 0,
      packets: values[at + 1] || 0,
      errors: values[at + 2] || 0,
      drops: values[at + 3] || 0,
    });
    found.push({ name, rx: flow(0), tx: flow(8) });
  }
  return found;
}

/** Keys of one flow of interfaces; `lead`: `net` for all of them, `net_eth0` for one. */
export function flowKeys(interfaces: Interface[], lead = 'net'): Metrics {
  const keys: Metrics = {};
  for (const way of directions) {
    const sum = (what: keyof Flow) => interfaces.reduce((all, one) => all + one[way][what], 0);
    keys[`${lead}_${way}_bytes`] = sum('bytes');
    keys[`${lead}_${way}_packets_total`] = sum('packets');
    keys[`${lead}_${way}_errors_total`] = sum('errors');
    keys[`${lead}_${way}_drops_total`] = sum('drops');
  }
  return keys;
}

/** The host's end of a vserver's veth, also of others than ours. */
const isWire = (name: string) => isVeth(name) || isProbe(name) || name.startsWith('veth');
/** What carries the traffic of others: it would count twice. */
const isAbove = (name: string) => /^(vsbr|br|virbr|lxcbr|lxdbr|docker|ifb|dummy|tun|tap|bond_)|\./.test(name);

/** Sums over the devices that lead out of this host, and each interface but those of vservers on its own. */
export function hostFlows(text: string): Metrics {
  const interfaces = interfacesOf(text).filter(({ name }) => !isWire(name));
  const keys = flowKeys(interfaces.filter(({ name }) => !isAbove(name)));
  for (const one of interfaces.slice(0, PUBLISHED))
    Object.assign(keys, flowKeys([one], `net_${one.name.replaceAll(/[^A-Za-z0-9]/g, '_')}`));
  return keys;
}

/** A line of values under a line of names with the same lead, as in /proc/net/snmp. */
function pairOf(text: string, lead: string): Map<string, number> {
  const [names, values] = text.split('\n').filter((line) => line.startsWith(`${lead}: `));
  const columns = values?.split(' ') ?? [];
  return new Map((names?.split(' ') ?? []).slice(1).map((name, at) => [name, Number(columns[at + 1])]));
}

/** Messages and bytes over IPv4 and IPv6, loopback included, since the start of this network namespace; fails: what was thrown away. */
export function inetOf(snmp: string, netstat: string, snmp6: string): Metrics {
  const [ip, more] = [pairOf(snmp, 'Ip'), pairOf(netstat, 'IpExt')];
  const six = (key: string) => fieldOf(snmp6.replaceAll(/[ \t]+/g, ' '), `Ip6${key}`) ?? 0;
  const fails = [
    'InHdrErrors',
    'InAddrErrors',
    'InUnknownProtos',
    'InDiscards',
    'OutDiscards',
    'OutNoRoutes',
  ];
  return {
    inet_rx_bytes: (more.get('InOctets') ?? 0) + six('InOctets'),
    inet_tx_bytes: (more.get('OutOctets') ?? 0) + six('OutOctets'),
    inet_rx_packets_total: (ip.get('InReceives') ?? 0) + six('InReceives'),
    inet_tx_packets_total: (ip.get('OutRequests') ?? 0) + six('OutRequests'),
    inet_fails_total: fails.reduce((all, key) => all + (ip.get(key) ?? 0) + six(key), 0),
  };
}

/** Sockets that are open: all kinds, and those of TCP, UDP and raw IP. */
export function socketCounts(sockstat: string, sockstat6: string): Metrics {
  const inuse = [...`${sockstat}\n${sockstat6}`.matchAll(/^(?:TCP|UDP|RAW)6?: inuse (\d+)/gm)];
  const used = /^sockets: used (\d+)/m.exec(sockstat)?.[1];
  return used === undefined
    ? {}
    : { sockets: Number(used), inet_sockets: inuse.reduce((all, one) => all + Number(one[1]), 0) };
}

/** Counters of the network namespace of a process, without its interfaces. */
export function namespaceFigures(pid: number | 'self'): Metrics {
  const read = (file: string) => readKernel(`/proc/${pid}/net/${file}`);
  return {
    ...inetOf(read('snmp'), read('netstat'), read('snmp6')),
    ...socketCounts(read('sockstat'), read('sockstat6')),
  };
}
