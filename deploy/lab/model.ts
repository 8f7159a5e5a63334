import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { VsError } from '../../shared/errors.ts';

/** What a lab is made of: names, addresses and paths, all derived from its record. */
export interface Lab {
  name: string;
  hosts: number;
  /** `mixed`: host1, host3, ... have btrfs, the others dir (ext4). */
  storage: 'btrfs' | 'dir' | 'mixed';
  networks: number;
  /** The kernel has 802.1q: one tagged trunk `eth1`; else one untagged device a network. */
  vlan: boolean;
  /** The port on 127.0.0.1 where every client of this machine reaches the broker. */
  port: number;
  /** Nodes without services, to try things in. */
  bare: boolean;
  /** The services of each node have a clock that can be set beside the machine's. */
  clocks?: boolean;
  /** An external broker on the master instead of the embedded one; of NATS three nodes. */
  broker?: 'mosquitto' | 'nats';
}

export interface LabNetwork {
  name: string;
  vlan: number;
  subnet: string;
  gateway: string;
  subnet6: string;
  gateway6: string;
  /** The device in a host that leads to it. */
  uplink: string;
}

export interface LabNode {
  name: string;
  role: 'master' | 'host';
  address: string;
}

export const templates = '/var/cache/vslab-templates';
const colours = ['blue', 'green', 'red', 'yellow', 'white', 'black'];

/** The storage of one host of a lab. */
export function storageOf(lab: Pick<Lab, 'storage'>, node: string): 'btrfs' | 'dir' {
  if (lab.storage !== 'mixed') return lab.storage;
  return Number(node.replace(/\D/g, '')) % 2 === 1 ? 'btrfs' : 'dir';
}

/** A lab's name goes into names of namespaces and folders: short and plain. */
export function checkLabName(name: string): string {
  if (!/^[a-z0-9]([a-z0-9-]{0,14}[a-z0-9])?$/.test(name)) {
    throw new VsError(
      'usage',
      `"${name}" is no lab name: lower-case letters, digits and dashes, at most 16, such as lab2.`,
    );
  }
  return name;
}

export function paths(lab: string) {
  const data = `/var/lib/vslab-${lab}`;
  const run = `/run/vslab-${lab}`;
  return {
    data,
    run,
    record: `${data}/lab.json`,
    socket: `${run}/broker.sock`,
    ready: `${run}/ready`,
    secret: (user: string) => `${data}/secrets/${user}`,
    node: (node: string) => `${data}/${node}`,
    pid: (node: string) => `${run}/${node}.pid`,
    services: (node: string) => `${run}/${node}.services`,
    slow: (node: string) => `${run}/${node}.slow`,
    clock: (node: string) => `${run}/${node}.clock`,
  };
}

/** The name of the network namespace of a node, or of `switch`, `router` and `prober`; its cgroups are called the same. */
export const namespace = (lab: string, part: string): string => `vslab-${lab}-${part}`;
export const namespaceFile = (lab: string, part: string): string => `/run/netns/${namespace(lab, part)}`;

/** Is this namespace or cgroup one of this lab, and not of one whose name begins alike? */
export function isPart(lab: string, name: string): boolean {
  const prefix = `vslab-${lab}-`;
  return name.startsWith(prefix) && /^(switch|router|prober|master|host\d+)$/.test(name.slice(prefix.length));
}

export function nodesOf(lab: Lab): LabNode[] {
  const nodes: LabNode[] = [{ name: 'master', role: 'master', address: '10.98.0.1' }];
  for (let n = 1; n <= lab.hosts; n++) {
    nodes.push({ name: `host${n}`, role: 'host', address: `10.98.0.${10 + n}` });
  }
  return nodes;
}

export function nodeOf(lab: Lab, name: string): LabNode {
  const nodes = nodesOf(lab);
  const node = nodes.find((one) => one.name === name);
  if (node) return node;
  throw new VsError(
    'not-found',
    `Lab ${lab.name} has no node "${name}"; it has ${nodes.map((one) => one.name).join(', ')}.`,
  );
}

export function networksOf(lab: Pick<Lab, 'networks' | 'vlan'>): LabNetwork[] {
  return Array.from({ length: lab.networks }, (_, index) => {
    const vlan = (index + 1) * 10;
    return {
      name: colours[index] ?? `net${vlan}`,
      vlan,
      subnet: `10.60.${vlan}.0/24`,
      gateway: `10.60.${vlan}.1`,
      subnet6: `fd60:${vlan}::/64`,
      gateway6: `fd60:${vlan}::1`,
      uplink: lab.vlan ? 'eth1' : `eth${index + 1}`,
    };
  });
}

/** The record of a lab, or undefined when there is none of that name. */
export async function readLab(name: string): Promise<Lab | undefined> {
  const text = await readFile(paths(checkLabName(name)).record, 'utf8').catch(() => '');
  try {
    const lab = JSON.parse(text) as Lab;
    return lab.name === name && lab.hosts > 0 && lab.port > 0 ? lab : undefined;
  } catch {
    return undefined; // never written whole: as good as none
  }
}

/** The record of a lab that must be there. */
export async function requireLab(name: string): Promise<Lab> {
  const lab = await readLab(name);
  if (lab) return lab;
  throw new VsError('not-found', `There is no lab "${name}". Start one: vs lab up --name ${name}`);
}

export async function writeLab(lab: Lab): Promise<void> {
  const at = paths(lab.name);
  await mkdir(`${at.data}/secrets`, { recursive: true, mode: 0o700 });
  await writeFile(at.record, `${JSON.stringify(lab, null, 2)}\n`);
}

/** The password of one identity of the lab: made once, kept in a file of mode 0600. */
export async function password(lab: string, user: string): Promise<string> {
  const file = paths(lab).secret(user);
  const kept = (await readFile(file, 'utf8').catch(() => '')).trim();
  if (kept) return kept;
  const fresh = randomBytes(18).toString('base64url').replaceAll('-', 'a'); // no leading dash for option parsers
  await writeFile(file, `${fresh}\n`, { mode: 0o600 });
  return fresh;
}
