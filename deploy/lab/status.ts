import { existsSync } from 'node:fs';
import { run } from '../../shared/run.ts';
import { type Lab, type LabNetwork, namespace, networksOf, nodesOf, paths, storageOf } from './model.ts';
import { initOf, serviceProcesses } from './processes.ts';
import { type Slow, slowness } from './slow.ts';

export interface NodeStatus {
  name: string;
  role: 'master' | 'host';
  running: boolean;
  pid?: number;
  address: string;
  storage?: Lab['storage'];
  disk?: string;
  data: string;
  cut: boolean;
  slow?: Slow;
  processes: { name: string; pid: number; nodePid: number }[];
}

export interface LabStatus {
  name: string;
  up: boolean;
  storage: Lab['storage'];
  vlan: boolean;
  broker: { url: string; socket: string; port: number };
  networks: LabNetwork[];
  nodes: NodeStatus[];
}

/** The ports of the switch that are down. */
async function cutNodes(lab: Lab): Promise<Set<string>> {
  const space = namespace(lab.name, 'switch');
  if (!existsSync(`/run/netns/${space}`)) return new Set();
  const { stdout } = await run(['ip', '-n', space, '-o', 'link', 'show']);
  const down = stdout.split('\n').filter((line) => !/[<,]UP[,>]/.test(line));
  return new Set(down.flatMap((line) => /^\d+: (\S+)-mgmt@/.exec(line)?.[1] ?? []));
}

/** What a lab is and which of it runs. */
export async function status(lab: Lab): Promise<LabStatus> {
  const at = paths(lab.name);
  const cut = await cutNodes(lab);
  const nodes: NodeStatus[] = [];
  for (const node of nodesOf(lab)) {
    const pid = await initOf(lab.name, node.name);
    const data = at.node(node.name);
    const slow = await slowness(lab.name, node.name);
    nodes.push({
      ...node,
      running: pid !== undefined,
      ...(pid === undefined ? {} : { pid }),
      ...(node.role === 'host' ? { storage: storageOf(lab, node.name), disk: `${data}/disk.img` } : {}),
      data,
      cut: cut.has(node.name),
      ...(slow ? { slow } : {}),
      processes: await serviceProcesses(lab.name, node.name),
    });
  }
  return {
    name: lab.name,
    up: nodes.every((node) => node.running),
    storage: lab.storage,
    vlan: lab.vlan,
    broker: { url: `mqtt://127.0.0.1:${lab.port}`, socket: at.socket, port: lab.port },
    networks: networksOf(lab),
    nodes,
  };
}

/** The same for people. */
export function describe(state: LabStatus): string {
  const lines = [`lab ${state.name}: ${state.up ? 'up' : 'not complete'}, broker ${state.broker.url}`];
  for (const node of state.nodes) {
    const what = node.running
      ? `running (pid ${node.pid})${node.cut ? ', cut' : ''}${node.slow ? ', slow' : ''}`
      : 'off';
    const services = node.processes.map((one) => `${one.name} ${one.pid}`).join(', ');
    lines.push(
      `  ${node.name.padEnd(8)} ${node.address.padEnd(12)} ${(node.storage ?? '').padEnd(6)} ${what}  ${services}`,
    );
  }
  for (const network of state.networks) {
    lines.push(
      `  ${network.name.padEnd(8)} VLAN ${network.vlan}, ${network.subnet}, ${network.subnet6}, gateway ${network.gateway}, on ${network.uplink}`,
    );
  }
  return lines.join('\n');
}
