import { isIPv4 } from 'node:net';
import { readOptional } from '../../config/lines.ts';

/** A vserver as its directory in /etc/vservers told. */
export interface ClassicVserver {
  name: string;
  /** `ADDRESS[/PREFIX]`. */
  address: string;
  /** Further ones. */
  more: string[];
  domain?: string;
  enabled: boolean;
  /** Flags of `vs create`. */
  limits: [flag: string, value: string][];
  /** Where its files are, on its host of then. */
  root: string;
  firewall: string;
  monitor: string;
}

const namePattern = /^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/;
const PAGE = 4096;
const MIB = 1024 * 1024;

const wholeNumber = (text: string): number | undefined =>
  /^[1-9]\d{0,15}$/.test(text.trim()) ? Number(text) : undefined;

/** The bits of a netmask; undefined when it is none. */
export function bitsOf(mask: string): number | undefined {
  if (!isIPv4(mask)) return undefined;
  const bits = mask
    .split('.')
    .map((part) => Number(part).toString(2).padStart(8, '0'))
    .join('');
  return /^1+0*$/.test(bits) ? bits.indexOf('0') + (bits.includes('0') ? 0 : 33) : undefined;
}

/** `read` answers a file below the directory of the vserver, empty when there is none; `interfaces`: the names of its directories there. Throws a sentence. */
export async function readClassic(
  name: string,
  read: (path: string) => Promise<string>,
  interfaces: string[],
): Promise<ClassicVserver> {
  if (!namePattern.test(name))
    throw new Error(
      `${name} cannot be the name of a vserver: lower-case letters, digits and inner dashes, at most 32`,
    );
  const trimmed = async (path: string) => (await read(path)).trim();
  const addresses: string[] = [];
  for (const one of interfaces.toSorted()) {
    const address = await trimmed(`interfaces/${one}/ip`);
    if (!address) continue;
    if (!isIPv4(address))
      throw new Error(`interfaces/${one}/ip is "${address.slice(0, 40)}"; expected an IPv4 address`);
    const prefix = (await trimmed(`interfaces/${one}/prefix`)) || (await trimmed('interfaces/prefix'));
    const bits = wholeNumber(prefix) ?? bitsOf(await trimmed(`interfaces/${one}/mask`));
    addresses.push(bits === undefined || bits > 32 ? address : `${address}/${bits}`);
  }
  const [address, ...more] = addresses;
  if (address === undefined) throw new Error('interfaces/ has no address (interfaces/0/ip)');
  const limits: [string, string][] = [];
  const add = (flag: string, value: number | undefined, unit = 'M') => {
    if (value !== undefined && value >= 1) limits.push([flag, `${Math.round(value)}${unit}`]);
  };
  const pages = wholeNumber((await read('rlimits/rss')) || (await read('rlimits/rss.hard')));
  add('--memory', pages === undefined ? undefined : (pages * PAGE) / MIB);
  const kb = wholeNumber(await read('dlimits/dlimit/space_total'));
  add('--disk', kb === undefined ? undefined : kb / 1024);
  add('--tmp', wholeNumber(/^\S+\s+\/tmp\s+tmpfs\s+\S*?size=(\d+)m/m.exec(await read('fstab'))?.[1] ?? ''));
  add('--procs', wholeNumber((await read('rlimits/nproc')) || (await read('rlimits/nproc.hard'))), '');
  const old = (await read('schedule')).split('\n').map(wholeNumber);
  const rate = wholeNumber(await read('sched/fill-rate')) ?? old[0];
  const interval = wholeNumber(await read('sched/interval')) ?? old[1];
  if (rate !== undefined && interval !== undefined) limits.push(['--cpu', `${rate}/${interval}`]);
  const domain = /^[^.\s]+\.([a-z0-9.-]+)$/i.exec(await trimmed('uts/nodename'))?.[1];
  return {
    name,
    address,
    more,
    ...(domain === undefined ? {} : { domain }),
    enabled: (await trimmed('apps/init/mark')) === 'default',
    limits,
    root: `/var/lib/vservers/${name}`,
    firewall: await read('firewall.conf'),
    monitor: await read('monitor.conf'),
  };
}

/** The reader of a directory. */
export const readerOf =
  (directory: string) =>
  (path: string): Promise<string> =>
    readOptional(`${directory}/${path}`).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOTDIR' || error.code === 'EISDIR') return '';
      throw error;
    });

/** The commands that make it a vserver of today. `kept`: where its own files lie, by name. */
export function commandsFor(one: ClassicVserver, kept: { firewall?: string; monitor?: string }): string[] {
  const { name } = one;
  const create = [
    'vs create',
    name,
    one.address,
    `/root/${name}.tar`,
    ...one.more.flatMap((address) => ['--also', address]),
    ...(one.domain === undefined ? [] : ['--domain', one.domain]),
    ...one.limits.flat(),
    ...(one.enabled ? ['--enable'] : []),
  ];
  return [
    `tar -C ${one.root} --numeric-owner -cpf ${name}.tar .   # on its old host, while it is stopped; bring it to /root of the master`,
    create.join(' '),
    ...(kept.firewall ? [`VISUAL='cp ${kept.firewall}' vs fw edit ${name}`] : []),
    ...(kept.monitor ? [`VISUAL='cp ${kept.monitor}' vs monitor edit ${name}`] : []),
    `vs start ${name}`,
  ];
}
