import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { open, readFile, readlink, rm, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { VsError } from '../../shared/errors.ts';
import { run } from '../../shared/run.ts';
import { type Lab, type LabNode, namespace, namespaceFile, paths } from './model.ts';

const relayScript = new URL('./relay.pl', import.meta.url).pathname;

/** What a slow link does: `delayMs` is what a round trip takes longer, `loss` percent of the frames of each way, `kbit` a second of each way (0: no limit). */
export interface Slow {
  delayMs: number;
  loss: number;
  kbit: number;
}

const ip = (lab: Lab, ...words: string[]) =>
  run(['ip', '-n', namespace(lab.name, 'switch'), ...words], { timeoutMs: 20_000 });
/** The devices of the switch: a bridge around the node's port, and the two ends of the relay. */
const devices = (node: string) => ({
  bridge: `${node}-slow`,
  inner: `${node}-tap-a`,
  outer: `${node}-tap-b`,
  port: `${node}-mgmt`,
});

/** The relay of a node's link, if there is one: by its file, and only when that process is it indeed. */
async function relayOf(lab: string, node: string): Promise<(Slow & { pid: number }) | undefined> {
  const text = await readFile(paths(lab).slow(node), 'utf8').catch(() => '');
  const [pid = 0, delay = 0, loss = 0, kbit = 0] = text.trim().split(' ').map(Number);
  if (!pid) return undefined;
  const [own, hub, words] = await Promise.all([
    readlink(`/proc/${pid}/ns/net`).catch(() => ''),
    stat(namespaceFile(lab, 'switch')).catch(() => undefined),
    readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''),
  ]);
  const its = hub !== undefined && own === `net:[${hub.ino}]` && words.includes(devices(node).inner);
  return its ? { pid, delayMs: 2 * delay, loss, kbit } : undefined;
}

/** How slow the link of a node is; undefined when it is not. */
export async function slowness(lab: string, node: string): Promise<Slow | undefined> {
  const relay = await relayOf(lab, node);
  if (!relay) return undefined;
  const { delayMs, loss, kbit } = relay;
  return { delayMs, loss, kbit };
}

/** Ends the relay of a node; a port that is still there goes back into the management network. */
export async function speedUp(lab: Lab, node: LabNode): Promise<void> {
  const { bridge, port } = devices(node.name);
  const there = existsSync(namespaceFile(lab.name, 'switch'))
    ? (await ip(lab, '-o', 'link', 'show')).stdout
    : '';
  if (there.includes(` ${port}@`)) await ip(lab, 'link', 'set', port, 'master', 'mgmt');
  const relay = await relayOf(lab.name, node.name);
  if (relay) {
    process.kill(relay.pid, 'SIGKILL');
    while (existsSync(`/proc/${relay.pid}`) && (await relayOf(lab.name, node.name))) await sleep(10);
  }
  if (there.includes(` ${bridge}:`)) await ip(lab, 'link', 'del', bridge);
  const file = paths(lab.name).slow(node.name);
  for (const one of [file, `${file}.log`]) await rm(one, { force: true });
}

/** Makes the management link of a node slow, both ways; what was so before ends. The kernel here has no netem. */
export async function slowDown(lab: Lab, node: LabNode, slow: Slow): Promise<void> {
  const { bridge, inner, outer, port } = devices(node.name);
  const file = paths(lab.name).slow(node.name);
  await speedUp(lab, node);
  await ip(lab, 'link', 'show', port).catch((error: unknown) => {
    throw new VsError(
      'unavailable',
      `${node.name} of lab ${lab.name} is off, so its link cannot be made slow. Boot it: vs lab boot ${node.name} --name ${lab.name}`,
      { cause: error },
    );
  });
  const log = await open(`${file}.log`, 'w');
  const words = [inner, outer, String(slow.delayMs / 2), String(slow.loss), String(slow.kbit), file];
  const enter = [`--net=${namespaceFile(lab.name, 'switch')}`, '--', 'perl', relayScript, ...words];
  const child = spawn('nsenter', enter, { detached: true, cwd: '/', stdio: ['ignore', log.fd, log.fd] });
  let ended = false;
  child.once('error', () => (ended = true)).once('exit', () => (ended = true));
  child.unref();
  await log.close();
  const until = Date.now() + 10_000;
  while (!existsSync(file)) {
    if (ended || Date.now() > until) {
      const why = (await readFile(`${file}.log`, 'utf8').catch(() => '')).trim() || 'no reason given';
      throw new VsError('failed', `The relay of the slow link of ${node.name} did not start: ${why}.`);
    }
    await sleep(10);
  }
  await ip(lab, 'link', 'add', bridge, 'type', 'bridge', 'forward_delay', '0', 'mcast_snooping', '0');
  await ip(lab, 'link', 'set', bridge, 'up');
  for (const [device, into] of [
    [inner, bridge],
    [outer, 'mgmt'],
    [port, bridge], // last: until then the link works as before
  ] as const)
    await ip(lab, 'link', 'set', device, 'master', into, ...(device === port ? [] : ['up']));
}
