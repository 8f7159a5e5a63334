import type { Args } from '../../shared/contract/commands.ts';
import type { Network } from '../../shared/contract/network.ts';
import { VsError } from '../../shared/errors.ts';
import { run } from '../../shared/run.ts';
import { addressesIn } from './ip.ts';

export type Port = Args<'network.attach'>['interfaces'][number];
/** An interface of a vserver, and the network that it is in. */
export interface Place {
  port: Port;
  network: Network;
}

/** Routing tables of the interfaces inside a vserver that has more than one begin here. */
const TABLE = 1000;
const text = ({ address, prefix }: { address: string; prefix: number }) => `${address}/${prefix}`;

/**
 * Lines for `ip -batch` inside a vserver with several interfaces, by family (ip-rule knows it only by its flag): each address
 * answers by the interface that it stands on, whoever asks (a table for each interface, a rule for each address). The packet would else
 * leave by another one, whose port throws foreign addresses away.
 */
export function routeLines(places: Place[]): { four: string[]; six: string[] } {
  const lines = { four: [] as string[], six: [] as string[] };
  if (places.length < 2) return lines;
  for (const [index, { port, network }] of places.entries()) {
    const table = String(TABLE + index);
    const ways = [
      { to: lines.four, own: port.addresses, subnet: network.subnet, gateway: network.gateway },
      { to: lines.six, own: port.addresses6, subnet: network.subnet6, gateway: network.gateway6 },
    ];
    for (const { to, own, subnet, gateway } of ways) {
      if (own.length === 0 || subnet === undefined) continue;
      to.push(`route replace ${subnet} dev ${port.device} table ${table}`);
      if (gateway !== undefined)
        to.push(`route replace default via ${gateway} dev ${port.device} table ${table}`);
      to.push(...own.map(({ address }) => `rule add from ${address} lookup ${table} priority ${table}`));
    }
  }
  return lines;
}

/**
 * What the start hook has `ip -batch` do inside: IPv6 without duplicate address detection, which would take 1.2 s more
 * after a move (measured.md; vs-tools asks before it starts), routes, and the announcement of all addresses.
 */
export function announceBatch(places: Place[]): string {
  const six = places.flatMap(({ port }) =>
    port.addresses6.flatMap((one) => {
      const at = `${text(one)} dev ${port.device}`;
      return [`address del ${at}`, `address add ${at} nodad`];
    }),
  );
  const told = places.map(({ port }) => `link set dev ${port.device} address ${port.mac}`);
  return `${[...six, ...routeLines(places).four, ...told].join('\n')}\n`;
}

/** The same for `ip -6`; empty for most. */
export const batch6 = (places: Place[]): string =>
  routeLines(places)
    .six.map((line) => `${line}\n`)
    .join('');

/** The addresses of each interface inside, but those of the link. */
async function addressesInside(pid: number): Promise<Map<string, string[]>> {
  const { stdout } = await run(['nsenter', '-t', String(pid), '-n', 'ip', '-j', 'address', 'show']);
  return addressesIn(stdout);
}

/** Gives a vserver that runs exactly these addresses, on the interfaces that it has; answers the devices that it has not, and whether it had others. */
export async function readdress(
  pid: number,
  places: Place[],
): Promise<{ missing: string[]; changed: boolean }> {
  const batch = async (lines: string[], ...flags: string[]) => {
    if (lines.length === 0) return;
    const argv = ['nsenter', '-t', String(pid), '-n', 'ip', ...flags, '-force', '-batch', '-'];
    await run(argv, { input: `${lines.join('\n')}\n`, okCodes: [0, 1] }); // 1: one of them was there already
  };
  const wanted = new Map(
    places.map(({ port }) => [port.device, [...port.addresses, ...port.addresses6].map(text)] as const),
  );
  const before = await addressesInside(pid);
  // an interface whose last address was taken away stays until the next start, with nothing to say
  for (const device of before.keys())
    if (/^eth\d+$/.test(device) && !wanted.has(device)) wanted.set(device, []);
  const gone = [...wanted].flatMap(([device, own]) =>
    (before.get(device) ?? [])
      .filter((one) => !own.includes(one))
      .map((one) => `address del ${one} dev ${device}`),
  );
  await batch(gone);
  // read again: with the first address of a subnet the others of it may have gone
  const now = await addressesInside(pid);
  const there = places.filter(({ port }) => now.has(port.device));
  const come = [...wanted].flatMap(([device, own]) =>
    own
      .filter((one) => now.get(device)?.includes(one) === false)
      .map((one) => `address add ${one} dev ${device}${one.includes(':') ? ' nodad' : ''}`),
  );
  await batch([
    ...come,
    ...routeLines(there).four,
    ...there.map(({ port }) => `link set dev ${port.device} address ${port.mac}`),
  ]);
  await batch(routeLines(there).six, '-6');
  const after = await addressesInside(pid);
  for (const { port } of there)
    for (const one of wanted.get(port.device) ?? [])
      if (!after.get(port.device)?.includes(one))
        throw new VsError(
          'failed',
          `${one} could not be set on ${port.device} inside; it is kept, and comes with the next start`,
        );
  return {
    missing: places.filter(({ port }) => !now.has(port.device)).map(({ port }) => port.device),
    changed: gone.length + come.length > 0,
  };
}
