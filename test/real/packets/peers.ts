import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { namespaceFile, paths } from '../../../deploy/lab/model.ts';

const program = new URL('peer.pl', import.meta.url).pathname;

/** What became of the datagrams of each flow. */
export type Flows = Record<string, { sent: number; answered: number; refused: number }>;

/** One peer.pl in a network namespace: an order a line, an answer a line. */
export interface Peer {
  ask: <T = Record<string, unknown>>(order: object) => Promise<T>;
  /** The flows of its last order, that this line ends: how often each has sent, and was answered or refused. */
  stopFlows: () => Promise<Flows>;
  end: () => Promise<void>;
}

/** Starts peer.pl by these words in front of it. */
export function startPeer(words: string[]): Peer {
  const [file = 'perl', ...args] = words;
  const child: ChildProcess = spawn(file, [...args, 'perl', program], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const waiting: { resolve: (line: string) => void; reject: (error: Error) => void }[] = [];
  createInterface({ input: child.stdout! }).on('line', (line) => waiting.shift()?.resolve(line));
  child.on('exit', () => {
    for (const one of waiting) one.reject(new Error(`${args.join(' ')} ended`));
  });
  const answer = async <T>(): Promise<T> => {
    const line = await new Promise<string>((resolve, reject) => void waiting.push({ resolve, reject }));
    const data = JSON.parse(line) as T & { fault?: string };
    if (data.fault) throw new Error(data.fault);
    return data;
  };
  const write = (order: object): void => void child.stdin?.write(`${JSON.stringify(order)}\n`);
  return {
    ask: async <T>(order: object) => {
      write(order);
      return answer<T>();
    },
    stopFlows: async () => {
      write({ stop: true });
      const [counts] = await Promise.all([answer<Flows>(), answer()]); // of the flows, and of this order
      return counts;
    },
    end: async () => {
      child.stdin?.end();
      if (child.exitCode === null) await once(child, 'exit');
    },
  };
}

/** The peers of a lab: in the namespace of a vserver, of a node, of the router or the prober. */
export function peersOf({ name: lab }: { name: string }) {
  /** The words that lead into a node, without a process of Node in between: many of these run at once. */
  const entering = (node: string): string[] =>
    ['switch', 'router', 'prober'].includes(node)
      ? ['nsenter', `--net=${namespaceFile(lab, node)}`]
      : ['nsenter', '-t', readFileSync(paths(lab).pid(node), 'utf8').trim(), '-m', '-n', '-p', '-u', '-i'];
  function at(node: string, ...command: string[]): string {
    const [file = '', ...args] = [...entering(node), '--', ...command];
    const { status, stdout, stderr } = spawnSync(file, args, { encoding: 'utf8', timeout: 60_000 });
    if (status !== 0) throw new Error(`${node}: ${command.join(' ')}: ${stdout}${stderr}`);
    return stdout;
  }
  /** The init of a vserver as its host sees it. */
  const initOf = (host: string, vserver: string): string =>
    at(host, 'lxc-info', '-P', '/var/lib/vservers', '-n', vserver, '-p', '-H').trim();
  const within = (host: string, vserver: string): string[] => ['nsenter', '-t', initOf(host, vserver), '-n'];
  return {
    initOf,
    /** Runs a command in the network of a vserver, as root of its host. */
    inside: (host: string, vserver: string, script: string): string =>
      at(host, ...within(host, vserver), 'sh', '-c', script),
    inVserver: (host: string, vserver: string): Peer =>
      startPeer([...entering(host), '--', ...within(host, vserver)]),
    inNode: (node: string): Peer => startPeer([...entering(node), '--']),
  };
}
