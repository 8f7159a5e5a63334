import { readFile } from 'node:fs/promises';
import { type BenchLab, say } from './kit.ts';
import { awaitAnswer } from './prober.ts';
import type { SetName } from './report.ts';
import { type Shell, openShell } from './shell.ts';

export const hosts = ['host1', 'host2'] as const;
export type Host = (typeof hosts)[number];
export const other = (host: Host): Host => (host === 'host1' ? 'host2' : 'host1');
export const management: Record<Host, string> = { host1: '10.98.0.11', host2: '10.98.0.12' };
export interface Container {
  name: string;
  address: string;
  /** Its files, on the host where it is. */
  tree: string;
}
export const mine: Container = {
  name: 'web1',
  address: '10.60.10.5',
  tree: '/var/lib/vservers/web1/rootfs',
};
/** In another network, so that vs does not take its bridge down when the vserver leaves. */
export const plain: Container & { network: string } = {
  name: 'plain1',
  address: '10.60.20.5',
  tree: '/var/lib/vservers/.plain/rootfs',
  network: 'green',
};

export interface Stage {
  lab: BenchLab;
  prober: Shell;
  on: Record<Host, Shell>;
  /** Where each of the containers is now. */
  at: Record<string, Host>;
}

/** A third container, of another program. */
export interface Peer {
  /** Lines that its shells on the hosts read first. */
  shell: string;
  /** Sets it up beside the other two, on host1; the tree of the plain container is there, and it does not run. */
  join(stage: Stage, set: SetName): Promise<void>;
}

/** The vserver, and a plain container of the same kind of tree (and one of a peer), all running on host1. */
export async function setTheStage(lab: BenchLab, source: string, set: SetName, peer?: Peer): Promise<Stage> {
  const here = (file: string) => new URL(file, import.meta.url).pathname;
  const before = `ROOT='${here('../..')}'\n. "$ROOT/deploy/bench/plain.sh"\n. "$ROOT/deploy/bench/ways.sh"\n${peer?.shell ?? ''}`;
  const [host1, host2, prober] = await Promise.all([
    openShell(lab, 'host1', before),
    openShell(lab, 'host2', before),
    openShell(lab, 'prober'),
  ]);
  const on = { host1, host2 };
  if (source !== 'busybox') {
    say(`${source}: building the template, unless it is there`);
    await lab.vs(['template', 'build', source], 900_000);
  }
  for (const one of [mine, plain]) {
    await lab.vs(['create', one.name, one.address, source, '--host', 'host1', '--start'], 300_000);
    if (source !== 'busybox') {
      const service = await readFile(here('../hello.sh'), 'utf8');
      await lab.vs(['exec', one.name, '--', 'sh', '-c', service]);
    }
    await awaitAnswer(prober, one.address);
    await host1.run(`tree_fill /var/lib/vservers/${one.name}/rootfs ${set}`);
  }
  const config = await host1.run(`plain_config ${plain.name}`);
  await lab.vs(['stop', plain.name]);
  await host1.run(`plain_take ${plain.name}`);
  await lab.vs(['remove', plain.name, '--yes']);
  await host1.run(`mine_trash ${plain.name}`);
  for (const host of hosts) {
    await lab.vs(['call', host, 'network.up', JSON.stringify({ network: plain.network })]);
    const words = `${plain.name} ${management[other(host)]} ${management[host]}`;
    await on[host].run(`plain_host ${words} <<'END'\n${config}\nEND`);
  }
  const stage: Stage = { lab, prober, on, at: { [mine.name]: 'host1', [plain.name]: 'host1' } };
  await peer?.join(stage, set);
  await host1.run(`plain_ready ${plain.name}; plain_boot ${plain.name}`);
  return stage;
}
