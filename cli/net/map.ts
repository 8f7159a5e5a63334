import type { Data } from '../../shared/contract/commands.ts';
import type { PoolNetwork } from './shown.ts';

export type Mapped = Pick<Data<'networks.list'>, 'networks' | 'hosts'>;

const WIDTH = 80;
/** Nothing that a terminal would take for a command. */
export const plain = (text: string): string => text.replace(/[^\x20-\x7e]/g, '?');
const cut = (text: string): string => (text.length <= WIDTH ? text : `${text.slice(0, WIDTH - 3)}...`);

/** The line of a network: what it is called, its VLAN, subnets and gateway. */
export const networkText = ({ name, vlan, subnet, subnet6, gateway, gateway6 }: PoolNetwork['network']) => {
  const via = subnet ? gateway : gateway6;
  return [name, `VLAN ${vlan}`, subnet, subnet6, via && `gateway ${via}`].filter(Boolean).join('  ');
};

/** The vservers of a host in a network, each once: with its first address there, and how many more it has. */
export function vserversOn({ vservers }: Pick<PoolNetwork, 'vservers'>, host: string) {
  const found = new Map<string, PoolNetwork['vservers'][number] & { further: number }>();
  for (const one of vservers) {
    if (one.host !== host) continue;
    const known = found.get(one.name);
    if (known) known.further += 1;
    else found.set(one.name, { ...one, further: 0 });
  }
  return [...found.values()];
}
const vserverText = ({ name, address, state, further }: ReturnType<typeof vserversOn>[number]) =>
  `${name} ${address}${further > 0 ? ` +${further}` : ''}${state === 'running' ? '' : ` (${state})`}`;

function wrapped(words: string[], indent: string): string[] {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    const next = last === undefined ? `${indent}${word}` : `${last}, ${word}`;
    if (last !== undefined && next.length > WIDTH - 1) {
      lines[lines.length - 1] = `${last},`;
      lines.push(`${indent}${word}`);
    } else if (last === undefined) lines.push(next);
    else lines[lines.length - 1] = next;
  }
  return lines.map(cut);
}

/** The pool as text of 80 columns: each network with the hosts that have it, and the vservers there. */
export function mapText({ networks, hosts }: Mapped): string {
  const lines: string[] = [];
  for (const { network, hosts: here, vservers } of networks) {
    const { vlan } = network;
    lines.push(cut(plain(networkText(network))));
    const names = new Set([...here.map((one) => one.host), ...vservers.map((one) => one.host)]);
    for (const [index, host] of [...names].toSorted().entries()) {
      const one = here.find((other) => other.host === host);
      const state =
        hosts.find((other) => other.host === host)?.state === 'offline' ? 'offline' : one?.up ? 'up' : 'down';
      const isLast = index === names.size - 1;
      const wire = one?.uplink ? `${one.uplink}${network.tagged ? `.${vlan}` : ''}` : 'inside';
      lines.push(
        cut(plain(`${isLast ? '`' : '|'}-- ${host}  ${state}, ${wire}${one?.mtu ? `, MTU ${one.mtu}` : ''}`)),
      );
      const on = vserversOn({ vservers }, host).map((other) => plain(vserverText(other)));
      lines.push(...wrapped(on, `${isLast ? ' ' : '|'}     `));
    }
    lines.push('');
  }
  return lines.length === 0 ? 'There is no network; add one with: vs net add' : lines.join('\n').trimEnd();
}
