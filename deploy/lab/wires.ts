import { readdir } from 'node:fs/promises';
import { run } from '../../shared/run.ts';
import { type Lab, type LabNode, namespace, namespaceFile, networksOf, nodeOf, nodesOf } from './model.ts';

/** The lab's wires: a switch, a router and a prober, each a network namespace; nothing in the machine's own. */
const parts = ['switch', 'router', 'prober'] as const;
const ip = (...words: string[]) => run(['ip', ...words], { timeoutMs: 20_000 });
const inside = (space: string, ...words: string[]) => ip('-n', space, ...words);
const sysctl = (space: string, ...pairs: string[]) =>
  run(['nsenter', `--net=/run/netns/${space}`, '--', 'sysctl', '-q', '-w', ...pairs], { timeoutMs: 20_000 });

async function addNamespace(space: string): Promise<void> {
  await ip('netns', 'add', space);
  await inside(space, 'link', 'set', 'lo', 'up');
}

/** Does this kernel know 802.1q? Tried in a namespace of the lab. */
async function hasVlan(space: string): Promise<boolean> {
  await inside(space, 'link', 'add', 'try0', 'type', 'veth', 'peer', 'name', 'try1');
  const tried = await inside(
    space,
    'link',
    'add',
    'link',
    'try0',
    'name',
    'try0.7',
    'type',
    'vlan',
    'id',
    '7',
  )
    .then(() => true)
    .catch(() => false);
  await inside(space, 'link', 'del', 'try0');
  return tried;
}

/** A cable between two namespaces, both ends up. */
async function cable(from: string, fromName: string, to: string, toName: string): Promise<void> {
  await inside(from, 'link', 'add', fromName, 'type', 'veth', 'peer', 'name', toName, 'netns', to);
  await inside(from, 'link', 'set', fromName, 'up');
  await inside(to, 'link', 'set', toName, 'up');
}

async function bridge(space: string, name: string): Promise<void> {
  await inside(space, 'link', 'add', name, 'type', 'bridge', 'forward_delay', '0', 'mcast_snooping', '0');
  await inside(space, 'link', 'set', name, 'up');
}

async function plug(lab: Lab, space: string, device: string, port: string, into: string): Promise<void> {
  const hub = namespace(lab.name, 'switch');
  await cable(hub, port, space, device);
  await inside(hub, 'link', 'set', port, 'master', into);
}

/** A node's cable: like a real card, it has the same MAC after each boot. */
async function plugNode(lab: Lab, node: LabNode, device: string, port: string, into: string): Promise<void> {
  const space = namespace(lab.name, node.name);
  await plug(lab, space, device, port, into);
  const mac = [
    '02',
    '76',
    '73',
    ...[0, Number(device.slice(3)), Number(node.address.split('.')[3])].map(hex),
  ];
  await inside(space, 'link', 'set', device, 'address', mac.join(':'));
}

const hex = (byte: number): string => byte.toString(16).padStart(2, '0');

/** Makes switch, router and prober; answers whether the trunk is tagged. */
export async function layWires(lab: Lab): Promise<boolean> {
  const [hub, router, prober] = parts.map((part) => namespace(lab.name, part)) as [string, string, string];
  for (const space of [hub, router, prober]) await addNamespace(space);
  await sysctl(hub, 'net.ipv6.conf.all.disable_ipv6=1', 'net.ipv6.conf.default.disable_ipv6=1');
  await sysctl(
    router,
    'net.ipv4.ip_forward=1',
    'net.ipv6.conf.all.forwarding=1',
    'net.ipv6.conf.default.accept_dad=0',
  );
  await sysctl(prober, 'net.ipv6.conf.default.accept_dad=0');
  const vlan = await hasVlan(hub);
  await bridge(hub, 'mgmt');
  if (vlan) {
    await bridge(hub, 'trunk');
    await plug({ ...lab, vlan }, router, 'trunk', 'r-trunk', 'trunk');
  }
  for (const network of networksOf({ ...lab, vlan })) {
    if (vlan) {
      const id = String(network.vlan);
      await inside(router, 'link', 'add', 'link', 'trunk', 'name', network.name, 'type', 'vlan', 'id', id);
      await inside(router, 'link', 'set', network.name, 'up');
    } else {
      await bridge(hub, network.name);
      await plug(lab, router, network.name, `r-${network.name}`, network.name);
    }
    await inside(router, 'addr', 'add', `${network.gateway}/24`, 'dev', network.name);
    await inside(router, '-6', 'addr', 'add', `${network.gateway6}/64`, 'dev', network.name, 'nodad');
  }
  await cable(router, 'prober', prober, 'eth0');
  for (const [space, device, end] of [
    [router, 'prober', 1],
    [prober, 'eth0', 2],
  ] as const) {
    await inside(space, 'addr', 'add', `192.0.2.${end}/24`, 'dev', device);
    await inside(space, '-6', 'addr', 'add', `2001:db8:ff::${end}/64`, 'dev', device, 'nodad');
  }
  await inside(prober, 'route', 'add', 'default', 'via', '192.0.2.1');
  await inside(prober, '-6', 'route', 'add', 'default', 'via', '2001:db8:ff::1');
  return vlan;
}

/** The network namespace of a node with `eth0` (management) and, on a host, its uplinks. */
export async function wireNode(lab: Lab, node: LabNode): Promise<void> {
  const space = namespace(lab.name, node.name);
  await addNamespace(space);
  await sysctl(space, 'net.ipv6.conf.default.accept_dad=0');
  await plugNode(lab, node, 'eth0', `${node.name}-mgmt`, 'mgmt');
  await inside(space, 'addr', 'add', `${node.address}/24`, 'dev', 'eth0');
  if (node.role === 'master') return;
  if (lab.vlan) return plugNode(lab, node, 'eth1', `${node.name}-trunk`, 'trunk');
  for (const network of networksOf(lab)) {
    const port = `${node.name}-${network.vlan}`;
    await plugNode(lab, node, network.uplink, port, network.name);
  }
}

/** Removes one network namespace with the cables into it. */
export async function removeNamespace(space: string): Promise<void> {
  if (!(await readdir('/run/netns').catch(() => [] as string[])).includes(space)) return;
  const devices = await inside(space, '-o', 'link', 'show').catch(() => undefined);
  for (const line of devices?.stdout.split('\n') ?? []) {
    const device = /^\d+: ([^:@]+)@/.exec(line)?.[1];
    if (device) await inside(space, 'link', 'del', device).catch(() => undefined); // at once: the kernel takes its time
  }
  await ip('netns', 'del', space);
}

/** Cuts a node's management network: all of it, or the way between it and one other node. */
export async function cut(lab: Lab, name: string, from: string | undefined): Promise<void> {
  const hub = namespace(lab.name, 'switch');
  const node = nodeOf(lab, name);
  if (from === undefined) {
    await inside(hub, 'link', 'set', `${node.name}-mgmt`, 'down');
    return;
  }
  const peer = nodeOf(lab, from);
  const lines = ['table netdev cut {'];
  for (const [port, other] of [
    [node, peer.address],
    [peer, node.address],
  ] as const) {
    const others = `ip daddr ${other} drop\narp daddr ip ${other} drop`;
    lines.push(
      `chain ${node.name}_${peer.name}_${port.name} {`,
      `type filter hook ingress device "${port.name}-mgmt" priority 0; policy accept;`,
      others,
      '}',
    );
  }
  lines.push('}', '');
  await run(['nsenter', `--net=${namespaceFile(lab.name, 'switch')}`, '--', 'nft', '-f', '-'], {
    input: lines.join('\n'),
    timeoutMs: 20_000,
  });
}

/** Ends every cut. */
export async function heal(lab: Lab): Promise<void> {
  const hub = namespace(lab.name, 'switch');
  for (const node of nodesOf(lab)) {
    await inside(hub, 'link', 'set', `${node.name}-mgmt`, 'up').catch(() => undefined); // a node that is off has no port
  }
  await run(['nsenter', `--net=${namespaceFile(lab.name, 'switch')}`, '--', 'nft', '-f', '-'], {
    input: 'table netdev cut\ndelete table netdev cut\n',
    timeoutMs: 20_000,
  });
}
