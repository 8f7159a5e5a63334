import { existsSync } from 'node:fs';
import { mkdir, readdir, rm, rmdir, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { VsError } from '../../shared/errors.ts';
import { run } from '../../shared/run.ts';
import { authorityFile } from './certificates.ts';
import { writeFiles } from './files.ts';
import {
  checkLabName,
  type Lab,
  namespace,
  nodesOf,
  password,
  paths,
  readLab,
  templates,
  writeLab,
} from './model.ts';
import { bootNode, killNode } from './node.ts';
import { killAll, namespacesOf, removeCgroups } from './processes.ts';
import { layWires, removeNamespace } from './wires.ts';

export interface UpOptions {
  name: string;
  hosts?: number;
  storage?: Lab['storage'];
  networks?: number;
  bare?: boolean;
  clocks?: boolean;
  broker?: Lab['broker'];
  say?: (line: string) => void;
}

/** A free port of 127.0.0.1: the wanted one, if nobody has it. */
async function freePort(wanted: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error) => (wanted ? resolve(freePort(0)) : reject(error)));
    server.listen(wanted, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

function needRoot(): void {
  if (process.platform !== 'linux')
    throw new VsError('failed', 'The lab needs Linux: run it in a Debian VM.');
  if (process.getuid?.() !== 0) {
    throw new VsError('failed', 'The lab makes namespaces, mounts and containers: run it as root (sudo).');
  }
}

/** The options of a client of this machine for the broker of the lab. */
export async function mqttOptions(lab: Lab, user: 'operator' | 'viewer'): Promise<string[]> {
  return [...place(lab, user), ...(await login(lab, user))];
}
const place = (lab: Lab, user: string): string[] => {
  const id = `${user}-${process.pid.toString(36)}${Date.now().toString(36)}`;
  const options = ['-h', '127.0.0.1', '-p', String(lab.port), '-i', id];
  if (!lab.broker) return options;
  const file = paths(lab.name).secret(user);
  const own = lab.broker === 'nats' ? ['--cert', `${file}.pem`, '--key', `${file}.key`] : [];
  return [...options, '--cafile', authorityFile(lab.name), ...own];
};
/** NATS takes a certificate, and with it no password. */
const login = async (lab: Lab, user: string): Promise<string[]> =>
  lab.broker === 'nats' ? ['-u', user] : ['-u', user, '-P', await password(lab.name, user)];

/** The same for mosquitto_sub, with the password in a file and not in its command line: options and environment. */
export async function hearing(
  lab: Lab,
  user: 'operator' | 'viewer',
): Promise<{ options: string[]; env: { XDG_CONFIG_HOME: string } }> {
  const directory = `${paths(lab.name).secret(user)}.mosquitto`;
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const words = await login(lab, user);
  const lines = words.flatMap((word, index) => (index % 2 ? [] : [`${word} ${words[index + 1]}\n`]));
  await writeFile(`${directory}/mosquitto_sub`, lines.join(''), { mode: 0o600 });
  return { options: place(lab, user), env: { XDG_CONFIG_HOME: directory } };
}

/** A host that was up while its master was off tries again each 15 s (shared/bus/backoff.ts); a busy machine is slow. */
export const ONLINE_SECONDS = 60;

/**
 * From when on (epoch ms) a status is of this life of a node: what its broker has kept of a life before is online, too, until
 * that one's will comes. Nothing is told by the clocks of nodes that have their own.
 */
async function bornAt(lab: Lab, name: string): Promise<number> {
  if (lab.clocks) return 0;
  const { pid } = paths(lab.name);
  // one that is off has no life, and nothing is of it
  const boots = [name, 'master'].map((node) =>
    stat(pid(node)).then(
      ({ mtimeMs }) => mtimeMs,
      () => Number.POSITIVE_INFINITY,
    ),
  );
  return Math.floor(Math.max(...(await Promise.all(boots))));
}

/** Waits until the master and every host say `online`, each since it was booted; the names of those that do not. */
export async function awaitOnline(
  lab: Lab,
  seconds: number,
  names: string[] = nodesOf(lab).map((node) => node.name),
): Promise<string[]> {
  const until = Date.now() + seconds * 1000;
  const waiting = new Set(names);
  while (waiting.size > 0 && Date.now() < until) {
    const { options, env } = await hearing(lab, 'viewer');
    const topics = [...waiting].flatMap((name) => [
      '-t',
      name === 'master' ? 'vs/1/master/status' : `vs/1/hosts/${name}/status`,
    ]);
    const count = ['-C', String(waiting.size), '-W', '3'];
    const { stdout } = await run(
      [
        'mosquitto_sub',
        ...options,
        '-q',
        lab.broker === 'nats' ? '0' : '1',
        ...topics,
        '-F',
        '%t %p',
        ...count,
      ],
      {
        okCodes: [0, 1, 2, 5, 7, 14, 15, 27, 255],
        timeoutMs: 10_000,
        env,
      },
    );
    for (const line of stdout.split('\n')) {
      const [, name, text] = /^vs\/1\/(?:hosts\/)?([a-z0-9-]+)\/status (.*)$/.exec(line) ?? [];
      if (name === undefined || text === undefined) continue;
      const now = JSON.parse(text) as { state: string; ts: number };
      if (now.state === 'online' && now.ts >= (await bornAt(lab, name))) waiting.delete(name);
    }
    if (waiting.size > 0) await sleep(100);
  }
  return [...waiting];
}

/** Takes down what runs of a lab: processes, namespaces, cgroups. Disks and records stay. */
async function clearRuntime(name: string): Promise<void> {
  const left = await killAll(name);
  if (left.length > 0) {
    throw new VsError('failed', `Processes of lab ${name} do not end even by SIGKILL: ${left.join(', ')}.`);
  }
  for (const space of await namespacesOf(name)) await removeNamespace(space);
  await removeCgroups(name);
  await rm(paths(name).run, { recursive: true, force: true });
}

/** The record of the lab as it shall be: what is there already holds, what was asked must agree with it. */
async function recordFor(options: UpOptions): Promise<Lab> {
  const kept = await readLab(options.name);
  const running = kept !== undefined && existsSync(paths(options.name).ready);
  for (const key of ['storage', 'networks', 'bare', 'broker', 'clocks'] as const) {
    const value = options[key];
    if (kept && value !== undefined && value !== kept[key]) {
      throw new VsError(
        'conflict',
        `Lab ${options.name} has ${key} ${String(kept[key])}. Take it down first: vs lab down --name ${options.name}`,
      );
    }
  }
  if (kept && options.hosts !== undefined && options.hosts < kept.hosts) {
    throw new VsError(
      'conflict',
      `Lab ${options.name} has ${kept.hosts} hosts already; a lab does not shrink.`,
    );
  }
  return {
    name: options.name,
    hosts: options.hosts ?? kept?.hosts ?? 2,
    storage: kept?.storage ?? options.storage ?? 'btrfs',
    networks: kept?.networks ?? options.networks ?? 2,
    vlan: kept?.vlan ?? false,
    port: running ? kept.port : await freePort(kept?.port ?? 0),
    bare: kept?.bare ?? options.bare ?? false,
    ...((kept ? kept.clocks : options.clocks) ? { clocks: true } : {}),
    ...((kept ? kept.broker : options.broker) ? { broker: kept ? kept.broker : options.broker } : {}),
  };
}

/** Brings a lab up, or completes one that is up in part; done, all its nodes run and are on the bus. */
export async function up(options: UpOptions): Promise<Lab> {
  needRoot();
  checkLabName(options.name);
  const say = options.say ?? (() => undefined);
  const at = paths(options.name);
  const lab = await recordFor(options);
  if (!existsSync(at.ready) || !existsSync(`/run/netns/${namespace(lab.name, 'switch')}`)) {
    await clearRuntime(lab.name);
    await mkdir(at.run, { recursive: true, mode: 0o755 });
    await mkdir(templates, { recursive: true, mode: 0o755 });
    await writeLab(lab);
    lab.vlan = await layWires(lab);
    await writeLab(lab);
    await writeFile(at.ready, '');
    say(`network   ${lab.networks} networks, ${lab.vlan ? 'one tagged trunk' : 'untagged (no 802.1q here)'}`);
  }
  const grown = ((await readLab(lab.name))?.hosts ?? 0) < lab.hosts;
  await writeLab(lab);
  const nodes = nodesOf(lab);
  const [master] = nodes;
  if (grown && master) await writeFiles(lab, master); // the broker reads its users anew
  if (master) await bootNode(lab, master); // first, so that the agents find their broker at once
  const booted = await Promise.allSettled(nodes.slice(1).map((node) => bootNode(lab, node)));
  for (const result of booted) if (result.status === 'rejected') throw result.reason;
  for (const node of nodes) say(`${node.name.padEnd(9)} ${node.address}`);
  if (lab.bare) return lab;
  const missing = await awaitOnline(lab, ONLINE_SECONDS);
  if (missing.length > 0) {
    throw new VsError(
      'unavailable',
      `Lab ${lab.name} is up, but ${missing.join(', ')} did not come online within ${ONLINE_SECONDS} s; the logs lie in ${at.data}/NODE/log.`,
    );
  }
  return lab;
}

/** Removes a lab and all that it left, also after a crash; nothing there is fine. Answers whether there was anything. */
export async function down(name: string): Promise<boolean> {
  needRoot();
  checkLabName(name);
  const at = paths(name);
  const lab = await readLab(name);
  const there =
    lab !== undefined || existsSync(at.run) || existsSync(at.data) || (await namespacesOf(name)).length > 0;
  // Nodes first and by their own files, so that loop devices are seen to go; then whatever else is left.
  const known: Lab = lab ?? {
    name,
    hosts: 0,
    storage: 'btrfs',
    networks: 0,
    vlan: false,
    port: 0,
    bare: true,
  };
  await killAll(name);
  const folders = (await readdir(at.data).catch(() => [])).filter((entry) =>
    /^(master|host\d+)$/.test(entry),
  );
  for (const folder of folders) {
    await killNode(known, { name: folder, role: folder === 'master' ? 'master' : 'host', address: '' });
  }
  await clearRuntime(name);
  await rm(at.data, { recursive: true, force: true });
  await rmdir(templates).catch(() => undefined); // goes when no template is in it
  return there;
}
