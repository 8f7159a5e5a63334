import { readdir } from 'node:fs/promises';
import { run } from '../../shared/run.ts';
import { ip } from './ip.ts';

const PREFIX = 'vsprobe-';

/** Removes what a check left that was killed. */
export async function clearProbes(): Promise<void> {
  for (const entry of await readdir('/run/netns').catch(() => []))
    if (entry.startsWith(PREFIX)) await ip('netns', 'del', entry);
}

/** Is the device the port of a check? */
export const isProbe = (device: string): boolean => /^vsp[a-z0-9]{1,6}$/.test(device);

/**
 * Tells `found` the MAC that answers for an IPv4 address on a bridge, or null; resolves when the probe is cleared away. The guard lets the host send nothing on the bridge,
 * so the question is asked from a namespace of its own with a port on it (duplicate address detection, RFC 5227).
 */
export async function whoAnswers(
  bridge: string,
  address: string,
  seconds: number,
  found: (mac: string | null) => void,
): Promise<void> {
  const mark = Math.random().toString(36).slice(2, 8);
  const namespace = `${PREFIX}${mark}`;
  const port = `vsp${mark}`;
  await ip('netns', 'add', namespace);
  try {
    await ip('link', 'add', port, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace);
    await ip('link', 'set', port, 'master', bridge, 'up');
    await ip('-n', namespace, 'link', 'set', 'eth0', 'up');
    const inside = ['nsenter', `--net=/run/netns/${namespace}`];
    const { stdout } = await run(
      [...inside, 'arping', '-D', '-f', '-c', String(seconds), '-w', String(seconds), '-I', 'eth0', address],
      { okCodes: [0, 1] },
    );
    found(/\[([0-9A-Fa-f:]{17})\]/.exec(stdout)?.[1]?.toLowerCase() ?? null);
  } finally {
    await ip('link', 'del', port).catch(() => undefined);
    await ip('netns', 'del', namespace).catch(() => undefined);
  }
}
