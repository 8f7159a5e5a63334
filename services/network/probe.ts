import { readdir } from 'node:fs/promises';
import { hostname } from 'node:os';
import { run } from '../../shared/run.ts';
import { ip } from './ip.ts';

/** With the host's name: hosts of a lab share the machine's /run/netns. */
const PREFIX = `vsprobe-${hostname()}-`;

/** Namespaces of checks of this process, which may already be at work when it starts. */
const own = new Set<string>();

/** Removes what a check left that was killed. */
export async function clearProbes(): Promise<void> {
  for (const entry of await readdir('/run/netns').catch(() => []))
    if (entry.startsWith(PREFIX) && !own.has(entry)) await ip('netns', 'del', entry);
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Writes settings of IPv6 in a namespace. */
const setterOf = (namespace: string) => (key: string, value: string) =>
  run(['nsenter', `--net=/run/netns/${namespace}`, 'tee', `/proc/sys/net/ipv6/${key}`], { input: value });

/** Does an IPv6 address answer? The kernel's own duplicate address detection (RFC 4862) on a device of a namespace. */
async function isTaken6(namespace: string, address: string): Promise<boolean> {
  const set = setterOf(namespace);
  await set('conf/eth0/accept_dad', '1');
  await set('conf/eth0/router_solicitation_delay', '0'); // its random delay of up to 1 s comes before the question
  await set('conf/eth0/dad_transmits', '3');
  await set('neigh/eth0/retrans_time_ms', '300');
  await ip('-n', namespace, '-6', 'address', 'add', `${address}/128`, 'dev', 'eth0');
  for (let tries = 0; tries < 60; tries++) {
    const { stdout } = await ip('-n', namespace, '-6', 'address', 'show', 'dev', 'eth0', 'scope', 'global');
    if (stdout.includes('dadfailed')) return true;
    if (!stdout.includes('tentative')) return false;
    await pause(50);
  }
  return false;
}

/** The MAC that answers for an IPv6 address, which must not be set here: the neighbour that a packet to it finds. */
async function neighbour6(namespace: string, address: string): Promise<string | undefined> {
  const inside = ['nsenter', `--net=/run/netns/${namespace}`];
  const at = [`${address}/128`, 'dev', 'eth0'];
  await ip('-n', namespace, '-6', 'address', 'flush', 'dev', 'eth0', 'scope', 'global');
  await ip('-n', namespace, '-6', 'route', 'replace', ...at);
  const argv = [
    ...inside,
    'ping',
    '-6',
    '-n',
    '-q',
    '-c',
    '2',
    '-i',
    '0.3',
    '-W',
    '1',
    '-I',
    'eth0',
    address,
  ];
  await run(argv, { okCodes: [0, 1, 2] }); // whether it answers pings is its own affair
  const { stdout } = await ip('-n', namespace, '-6', 'neigh', 'show', 'to', ...at);
  return /lladdr ([0-9a-f:]{17})/.exec(stdout)?.[1];
}

/** Does an IPv6 address answer, and from which MAC, as far as it can be known? */
async function taken6(namespace: string, address: string) {
  const taken = await isTaken6(namespace, address);
  const mac = taken ? await neighbour6(namespace, address) : undefined;
  return { taken6: taken, ...(mac ? { answers6: mac } : {}) };
}

/**
 * Who answers for an IPv4 address: its MAC, or null (RFC 5227). Asks twice, 400 ms apart: one packet may be lost, and
 * arping itself knows whole seconds only.
 */
async function answers4(namespace: string, address: string): Promise<string | null> {
  const inside = ['nsenter', `--net=/run/netns/${namespace}`];
  let known = false;
  const ask = async (after: number): Promise<string> => {
    await pause(after);
    if (known) throw new NoAnswer();
    const argv = [...inside, 'arping', '-D', '-f', '-c', '1', '-w', '1', '-I', 'eth0', address];
    const { stdout } = await run(argv, { okCodes: [0, 1] });
    const mac = /\[([0-9A-Fa-f:]{17})\]/.exec(stdout)?.[1]?.toLowerCase();
    if (!mac) throw new NoAnswer();
    return mac;
  };
  const asked = [ask(0), ask(400)];
  try {
    const mac = await Promise.any(asked);
    known = true;
    return mac;
  } catch (error) {
    for (const reason of (error as AggregateError).errors) if (!(reason instanceof NoAnswer)) throw reason;
    return null;
  } finally {
    void Promise.allSettled(asked);
  }
}
class NoAnswer extends Error {}

/**
 * A namespace with a port on a bridge. The guard lets the host send nothing there, so whoever asks or answers on it does so
 * from one of these.
 */
export async function openProbe(bridge: string, mtu?: number) {
  const mark = Math.random().toString(36).slice(2, 8);
  const namespace = `${PREFIX}${mark}`;
  const port = `vsp${mark}`;
  const size = mtu === undefined ? [] : ['mtu', String(mtu)];
  const close = async () => {
    await ip('link', 'del', port).catch(() => undefined);
    await ip('netns', 'del', namespace).catch(() => undefined);
    own.delete(namespace);
  };
  own.add(namespace);
  try {
    await ip('netns', 'add', namespace);
    await ip(
      'link',
      'add',
      port,
      ...size,
      'type',
      'veth',
      'peer',
      'name',
      'eth0',
      ...size,
      'netns',
      namespace,
    );
    await ip('link', 'set', port, 'master', bridge, 'up');
  } catch (error) {
    await close();
    throw error;
  }
  return { namespace, close };
}

/** Asks on a bridge whether addresses answer, and tells `found`; resolves when the probe is cleared away. */
export async function whoAnswers(
  bridge: string,
  want: { address?: string | undefined; address6?: string | undefined },
  found: (answers: { answers: string | null; taken6?: boolean; answers6?: string }) => void,
): Promise<void> {
  const { namespace, close } = await openProbe(bridge);
  try {
    // its own link-local address, which the question for the MAC comes from, needs no detection: its MAC is new
    if (want.address6) await setterOf(namespace)('conf/eth0/accept_dad', '0');
    await ip('-n', namespace, 'link', 'set', 'eth0', 'up');
    const [answers, six] = await Promise.all([
      want.address ? answers4(namespace, want.address) : null,
      want.address6 ? taken6(namespace, want.address6) : undefined,
    ]);
    found({ answers, ...six });
  } finally {
    await close();
  }
}
