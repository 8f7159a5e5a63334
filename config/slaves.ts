import type { HostNetworking } from '../shared/contract/networks.ts';
import { type Fault, faulty, parseLines, partsOf, readOptional } from './lines.ts';
import { uplinkFault } from './network-parse.ts';
import type { Settings } from './settings.ts';

/** What slaves.conf may ask for a host's copies: the same by TLS, in the clear, or through ssh. */
export const wishes = ['rsyncd-tls', 'ssh', 'rsyncd'] as const; // the most private first
export type Wish = (typeof wishes)[number];

/** One host of slaves.conf: `host[:noselect,compress,bwlimit=50k|50m,transport=rsyncd-tls|ssh|rsyncd,uplink=eth1,uplink.blue=eth2,mtu=1496]`. */
export interface Slave extends HostNetworking {
  host: string;
  /** Never chosen by itself for a new vserver. */
  noselect: boolean;
  compress: boolean;
  /** Bytes a second for copies to and from it. */
  bwlimit?: number;
  /** What copies to and from it go through; TLS where neither host asks for anything. */
  transport?: Wish;
}

/** Takes `uplink=`, `uplink.NETWORK=` and `mtu=`; false when the option is none of them. */
function takeNetworking(slave: Slave, option: string): boolean {
  const [, key = '', of, value = ''] = /^(uplink(?:\.([a-z0-9-]{1,32}))?|mtu)=(.*)$/.exec(option) ?? [];
  if (!key) return false;
  const twice = new Error(`host ${slave.host} has two of ${key}; expected one`);
  if (key === 'mtu') {
    if (slave.mtu !== undefined) throw twice;
    slave.mtu = Number(value);
    if (!/^\d{4}$/.test(value) || slave.mtu < 1280 || slave.mtu > 9216)
      throw new Error(`mtu is "${value.slice(0, 40)}"; expected a whole number from 1280 to 9216`);
    return true;
  }
  const fault = of !== undefined && value === 'none' ? undefined : uplinkFault(value);
  if (fault) throw new Error(fault);
  if (of === undefined ? slave.uplink : slave.uplinks && Object.hasOwn(slave.uplinks, of)) throw twice;
  if (of === undefined) slave.uplink = value;
  else slave.uplinks = { ...slave.uplinks, [of]: value };
  return true;
}

function takeOption(slave: Slave, option: string): void {
  const { host } = slave;
  const limit = /^bwlimit=([1-9]\d{0,8})([km])$/.exec(option);
  const transport = /^transport=(.*)$/.exec(option)?.[1];
  if (transport !== undefined) {
    const wish = wishes.find((one) => one === transport);
    if (!wish)
      throw new Error(`unknown transport ${transport.slice(0, 40)}; expected one of ${wishes.join(', ')}`);
    if (slave.transport) throw new Error(`host ${host} has two transports; expected one`);
    slave.transport = wish;
  } else if (takeNetworking(slave, option)) return;
  else if (option === 'noselect' || option === 'compress') slave[option] = true;
  else if (limit) slave.bwlimit = Number(limit[1]) * (limit[2] === 'k' ? 1024 : 1024 * 1024);
  else if (option)
    throw new Error(
      `unknown option ${option.slice(0, 60)}; known are noselect, compress, bwlimit=50k, bwlimit=50m, transport=${wishes.join('|')}, uplink=eth1, uplink.NETWORK=eth2, mtu=1496`,
    );
}

function parseSlave(line: string, before: Slave[]): Slave {
  const [host, options, rest] = partsOf({ text: line, at: 0 }, /:/g);
  if (!host || !/^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/.test(host.text) || rest)
    throw faulty({
      at: rest?.at ?? 0,
      message: `expected host[:noselect,compress,bwlimit=50m,transport=rsyncd-tls], found "${line.slice(0, 60)}"`,
    });
  if (before.some((other) => other.host === host.text))
    throw faulty({ at: 0, message: `host ${host.text} stands here already; expected each host once` });
  const slave: Slave = { host: host.text, noselect: false, compress: false };
  const faults: Fault[] = [];
  for (const { text, at } of options ? partsOf(options, /,/g) : [])
    try {
      takeOption(slave, text);
    } catch (error) {
      faults.push({ at, message: (error as Error).message });
    }
  if (faults.length > 0) throw faulty(...faults);
  return slave;
}

/** Parses the text of slaves.conf. Throws VsError 'usage' with every fault, by file, line and column. */
export const parseSlaves = (text: string, file: string): Slave[] => parseLines(text, file, parseSlave);

/** What two hosts agree on: of two wishes the more private one; TLS when neither says anything. */
export const agreed = (slaves: Slave[]): Wish =>
  wishes.find((wish) => slaves.some((one) => one.transport === wish)) ?? 'rsyncd-tls';

/** The hosts of CONFIG_DIR/slaves.conf; none when there is no such file. */
export async function loadSlaves(settings: Pick<Settings, 'CONFIG_DIR'>): Promise<Slave[]> {
  const file = `${settings.CONFIG_DIR}/slaves.conf`;
  return parseSlaves(await readOptional(file), file);
}
