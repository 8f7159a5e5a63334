import { readdirSync, readlinkSync } from 'node:fs';
import { setImmediate as pause } from 'node:timers/promises';
import type { ListeningSocket } from '../../shared/contract/monitor.ts';
import { ownOf, ownerOf, pathIn } from './cgroup.ts';
import { readKernel } from './read.ts';

type Found = Omit<ListeningSocket, 'process' | 'pid'> & { inode: string };
/** A service of a host has no more than so many; what a hostile guest opens beyond is counted only. */
const MOST = 500;
const LISTEN = '0A';
const UNBOUND = '07';

/** An address as the kernel writes it, words of 4 bytes in the order of the machine (little endian). */
export function addressIn(hex: string): string {
  const words = hex.match(/.{8}/g) ?? [];
  const bytes = words.flatMap((word) => (word.match(/../g) ?? []).reverse());
  if (bytes.length === 4) return bytes.map((byte) => Number.parseInt(byte, 16)).join('.');
  const groups = (bytes.join('').match(/.{4}/g) ?? []).join(':');
  return URL.canParse(`http://[${groups}]`) ? new URL(`http://[${groups}]`).hostname.slice(1, -1) : hex;
}

/** Sockets of /proc/PID/net/tcp and the like that wait for somebody. */
export function listeningIn(text: string, family: 'tcp' | 'tcp6' | 'udp' | 'udp6'): Found[] {
  const wanted = family.startsWith('tcp') ? LISTEN : UNBOUND;
  return text
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [, local = '', remote = '', state, , , , , , inode = ''] = line.trim().split(/\s+/);
      const [hex = '', port = ''] = local.split(':');
      if (state !== wanted || (state === UNBOUND && !/^0+:0000$/.test(remote))) return [];
      return [{ family, address: addressIn(hex), port: Number.parseInt(port, 16), inode }];
    });
}

/** Sockets of /proc/PID/net/unix that accept connections. */
export function listeningUnix(text: string): Found[] {
  return text
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [, flags, , inode, path] = /^\S+ \S+ \S+ (\S+) (\S+ \S+)\s+(\d+)(?: (.*))?$/.exec(line) ?? [];
      const accepts = (Number.parseInt(flags ?? '0', 16) & 0x10000) !== 0;
      return accepts && inode ? [{ family: 'unix' as const, address: path ?? '', inode }] : [];
    });
}

/** The processes of a vserver's cgroup that hold the sockets of these inodes. */
async function holders(own: string, inodes: Set<string>) {
  const found = new Map<string, { pid: number; process: string }>();
  const known = new Set([own]);
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid) || !ownerOf(pathIn(readKernel(`/proc/${pid}/cgroup`)), known)) continue;
    await pause();
    for (const file of filesOf(pid)) {
      const inode = /^socket:\[(\d+)\]$/.exec(file)?.[1];
      if (inode !== undefined && inodes.has(inode) && !found.has(inode))
        found.set(inode, { pid: Number(pid), process: readKernel(`/proc/${pid}/comm`).trim().slice(0, 32) });
    }
  }
  return found;
}
function filesOf(pid: string): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap((file) => {
      try {
        return [readlinkSync(`/proc/${pid}/fd/${file}`)];
      } catch {
        return []; // closed meanwhile
      }
    });
  } catch {
    return []; // it has ended
  }
}

function allOf(pid: number): Found[] {
  const read = (file: string) => readKernel(`/proc/${pid}/net/${file}`);
  return [
    ...(['tcp', 'tcp6', 'udp', 'udp6'] as const).flatMap((family) => listeningIn(read(family), family)),
    ...listeningUnix(read('unix')),
  ];
}
/** The same as long as the same sockets listen: who holds them costs a pass over all processes. */
export const socketMark = (pid: number): string => JSON.stringify(allOf(pid));

/** How many TCP sockets of a namespace are in use, by /proc/PID/net/sockstat and sockstat6; undefined when they do not say. */
export function tcpCount(sockstat: string, sockstat6: string): string | undefined {
  const of = (text: string, family: string) => new RegExp(`^${family}: inuse (\\d+)`, 'm').exec(text)?.[1];
  const [four, six] = [of(sockstat, 'TCP'), of(sockstat6, 'TCP6') ?? '0'];
  return four === undefined ? undefined : `${four} ${six}`;
}
/**
 * Changes with nearly every change of `socketMark`, for a hundredth of its cost: for a list of TCP sockets the kernel walks
 * over the connections of the whole machine. One that ends while another begins is not seen by it. Undefined: not known.
 */
export function quickMark(pid: number): string | undefined {
  const read = (file: string) => readKernel(`/proc/${pid}/net/${file}`);
  const count = tcpCount(read('sockstat'), read('sockstat6'));
  const others = [...listeningIn(read('udp'), 'udp'), ...listeningIn(read('udp6'), 'udp6')];
  return count && JSON.stringify([pid, count, others, listeningUnix(read('unix'))]);
}

/** What listens in the vserver of an init process, with who does; those of the guest's systemd are held by its pid 1 too. */
export async function socketsOf(pid: number): Promise<{ sockets: ListeningSocket[]; more: number }> {
  const all = allOf(pid);
  const shown = all.slice(0, MOST);
  const own = ownOf(pathIn(readKernel(`/proc/${pid}/cgroup`)));
  const by = await holders(own, new Set(shown.map(({ inode }) => inode)));
  const sockets = shown.map(({ inode, ...socket }) => ({
    ...socket,
    address: socket.address.slice(0, 200),
    ...by.get(inode),
  }));
  return { sockets, more: all.length - shown.length };
}
