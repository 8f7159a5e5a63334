import { VsError } from '../../shared/errors.ts';
import { run } from '../../shared/run.ts';
import { ip } from './ip.ts';
import { openProbe } from './probe.ts';

/** IPv6 and ICMPv6 headers (RFC 8200, RFC 4443). */
const HEADERS = 48;
/** What IPv6 asks of every link (RFC 8200, 5). */
const LEAST = 1280;

/** Brings the namespace's device up with its link-local address at once, without asking whether another one has it: its MAC is new. */
async function up(namespace: string): Promise<string> {
  const inside = ['nsenter', `--net=/run/netns/${namespace}`];
  await run([...inside, 'tee', '/proc/sys/net/ipv6/conf/eth0/accept_dad'], { input: '0' }).catch(
    (error: unknown) => {
      throw new VsError('failed', 'this host has no IPv6, by which it is asked', { cause: error });
    },
  );
  await ip('-n', namespace, 'link', 'set', 'eth0', 'up');
  const { stdout } = await ip('-n', namespace, '-6', 'address', 'show', 'dev', 'eth0', 'scope', 'link');
  const address = /inet6 (fe80:[0-9a-f:]+)\//.exec(stdout)?.[1];
  if (!address) throw new VsError('failed', `a device in ${namespace} got no link-local address`);
  return address;
}

/** Answers pings on a bridge for some seconds; tells the address at which. */
export async function answerPings(bridge: string, seconds: number): Promise<{ address: string }> {
  const { namespace, close } = await openProbe(bridge, 9216);
  try {
    const address = await up(namespace);
    setTimeout(() => void close(), seconds * 1000);
    return { address };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The largest size up to `most` that passes; undefined when not even the least does. Asks for the largest first. */
export async function largest(
  most: number,
  passes: (size: number) => Promise<boolean>,
): Promise<number | undefined> {
  if (await passes(most)) return most;
  if (!(await passes(LEAST))) return undefined;
  let [low, high] = [LEAST, most];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (await passes(middle)) low = middle;
    else high = middle;
  }
  return low;
}

/** The largest IPv6 packet up to `mtu` that comes back from an address on a bridge in one piece; null: none. */
export async function largestThrough(bridge: string, address: string, mtu: number): Promise<number | null> {
  const { namespace, close } = await openProbe(bridge, mtu);
  const inside = ['nsenter', `--net=/run/netns/${namespace}`];
  const passes = async (size: number): Promise<boolean> => {
    const argv = ['ping', '-6', '-n', '-q', '-M', 'do', '-c', '2', '-i', '0.2', '-w', '1'];
    const data = ['-s', String(size - HEADERS), `${address}%eth0`];
    // 1: no answer; 2: too large for the device itself
    const { stdout } = await run([...inside, ...argv, ...data], { okCodes: [0, 1, 2] });
    return /[12] received/.test(stdout);
  };
  try {
    await up(namespace);
    return (await largest(mtu, passes)) ?? null;
  } finally {
    await close();
  }
}
