import { existsSync } from 'node:fs';
import { mkdir, open, writeFile } from 'node:fs/promises';
import { agentFlags } from '../../shared/agent-flags.ts';
import { run } from '../../shared/run.ts';
import { brokerServices, brokerUrlOf, writeBroker } from './broker.ts';
import { certify, certifyClients } from './certificates.ts';
import {
  type Lab,
  type LabNode,
  networksOf,
  nodesOf,
  password,
  paths,
  templates,
  storageOf,
} from './model.ts';

const root = new URL('../..', import.meta.url).pathname;

/** Lines of networks.conf as every node of the lab gets them. */
export function networksConf(lab: Lab): string {
  return networksOf(lab)
    .map((network) => {
      const options = [
        `name=${network.name}`,
        `net6=[${network.subnet6}]`,
        `gw6=[${network.gateway6}]`,
        `uplink=${network.uplink}`,
        ...(lab.vlan ? [] : ['untagged']),
      ];
      return `${network.vlan}:${network.subnet}:${network.gateway}:${network.gateway}:lab.example:${options.join(',')}\n`;
    })
    .join('');
}

/** vs-tools.conf of a node. */
export function toolsConf(lab: Lab, node: LabNode): string {
  const at = paths(lab.name);
  const lines: Record<string, string> = {
    HOST: node.name,
    ROLE: node.role,
    BROKER_URL: brokerUrlOf(lab),
    ...(lab.broker ? { BROKER_KIND: lab.broker } : {}),
    MANAGEMENT_ADDRESS: node.address,
  };
  if (node.role === 'master') {
    lines['BROKER_LISTEN'] = ''; // but the socket that it inherits
    lines['BROKER_TLS_LISTEN'] = `${node.address}:8883`;
    if (!lab.broker) lines['BROKER_SOCKET'] = at.socket;
    lines['TEMPLATE_DIR'] = templates;
    lines['TEMPLATE_NETNS'] = '/run/vslab-node/machine-net';
    const mirror = process.env['VS_TEMPLATE_MIRROR'];
    if (mirror && /^\S+$/.test(mirror)) lines['TEMPLATE_MIRROR'] = mirror;
  }
  return Object.entries(lines)
    .map(([key, value]) => `${key}=${value}\n`)
    .join('');
}

const service = (...names: string[]): string[] => [
  process.execPath,
  ...(names.includes('host-agent') ? agentFlags : []),
  `${root}cli/main.ts`,
  'service',
  ...names,
];

/** The services of a node: name and argument vector. */
export function servicesOf(lab: Lab, node: LabNode): Record<string, string[]> {
  if (lab.bare) return { sleep: ['/usr/bin/sleep', 'infinity'] };
  if (node.role === 'master')
    return {
      ...(lab.broker ? brokerServices(lab) : { broker: service('broker') }),
      master: service(
        'orchestrator',
        'repository',
        'networks',
        'template',
        'authority',
        'exporter',
        'discovery',
        'backup-scheduler',
        'history',
        'alerter',
        'master-doctor',
      ),
    };
  return {
    agent: service(
      'host-agent',
      'network',
      'snapshot',
      'transfer',
      'firewall',
      'monitor',
      'doctor',
      'packages',
      'repository-host',
    ),
  };
}

async function writeUsers(lab: Lab, file: string): Promise<void> {
  const { hashPassword } = await import('../../broker/users.ts');
  const users: Record<string, unknown> = {};
  for (const { name, role } of nodesOf(lab)) users[name] = { role: role === 'host' ? 'agent' : 'master' };
  for (const name of ['operator', 'viewer'])
    users[name] = { role: name, ...(await hashPassword(await password(lab.name, name))) };
  await writeFile(file, `${JSON.stringify({ users }, null, 2)}\n`, { mode: 0o600 });
}

/** The node's files under /etc/vs-tools, written anew at each boot; what people added stays. */
export async function writeFiles(lab: Lab, node: LabNode): Promise<void> {
  const data = paths(lab.name).node(node.name);
  const etc = `${data}/etc`;
  for (const folder of ['state', 'etc', 'log', 'scratch']) {
    await mkdir(`${data}/${folder}`, { recursive: true, mode: 0o755 });
  }
  await writeFile(`${etc}/vs-tools.conf`, toolsConf(lab, node));
  await writeFile(`${etc}/networks.conf`, networksConf(lab));
  if (!lab.bare) await certify(lab, node);
  if (node.role === 'host') return;
  const hosts = nodesOf(lab).filter((one) => one.role === 'host');
  await writeFile(`${etc}/slaves.conf`, hosts.map((host) => `${host.name}\n`).join(''));
  if (lab.bare) return;
  await writeUsers(lab, `${etc}/broker-users.json`);
  if (lab.broker) await writeBroker(lab, etc);
  if (lab.broker === 'nats') await certifyClients(lab, ['operator', 'viewer']);
}

/** The disk of a host: a sparse image with a file system, made once. */
export async function makeDisk(lab: Lab, node: LabNode): Promise<void> {
  const image = `${paths(lab.name).node(node.name)}/disk.img`;
  if (existsSync(image)) return;
  const fresh = `${image}.new`; // a crash in the middle leaves no half-made disk under the real name
  const file = await open(fresh, 'w', 0o600);
  await file.truncate(20 * 1024 ** 3);
  await file.close();
  const make =
    storageOf(lab, node.name) === 'btrfs' ? ['mkfs.btrfs', '-q', '-f'] : ['mkfs.ext4', '-q', '-F', '-m', '0'];
  await run([...make, '-L', `vslab-${node.name}`, fresh], { timeoutMs: 120_000 });
  await run(['mv', fresh, image]);
}
