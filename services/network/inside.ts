import { z } from 'zod';
import type { Args } from '../../shared/contract/commands.ts';
import type { Network } from '../../shared/contract/network.ts';
import { run } from '../../shared/run.ts';

export type Port = Args<'network.attach'>['interfaces'][number];
/** An interface of a vserver, and the network that it is in. */
export interface Place {
  port: Port;
  network: Network;
}

/** Routing tables of further interfaces inside a vserver begin here. */
const TABLE = 1000;
const text = ({ address, prefix }: { address: string; prefix: number }) => `${address}/${prefix}`;

/**
 * Lines for `ip -batch` inside: what has an address of a further network answers by the gateway of that network (a table of its own, and a
 * rule for each address): the packet would else leave by eth0, whose port throws foreign addresses away.
 */
export function routeLines(places: Place[]): string[] {
  return places.slice(1).flatMap(({ port, network }, index) => {
    const table = String(TABLE + index + 1);
    const ways = [
      { own: port.addresses, subnet: network.subnet, gateway: network.gateway },
      { own: port.addresses6, subnet: network.subnet6, gateway: network.gateway6 },
    ];
    return ways.flatMap(({ own, subnet, gateway }) =>
      own.length === 0 || subnet === undefined || gateway === undefined
        ? []
        : [
            `route replace ${subnet} dev ${port.device} table ${table}`,
            `route replace default via ${gateway} dev ${port.device} table ${table}`,
            ...own.map(({ address }) => `rule add from ${address} lookup ${table} priority ${table}`),
          ],
    );
  });
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
  return `${[...six, ...routeLines(places), ...told].join('\n')}\n`;
}

const shown = z.array(
  z.looseObject({
    ifname: z.string(),
    addr_info: z.array(z.looseObject({ local: z.string(), prefixlen: z.int(), scope: z.string() })),
  }),
);
/** The addresses of each interface inside, but those of the link. */
async function addressesInside(pid: number): Promise<Map<string, string[]>> {
  const { stdout } = await run(['nsenter', '-t', String(pid), '-n', 'ip', '-j', 'address', 'show']);
  return new Map(
    shown
      .parse(JSON.parse(stdout))
      .map(({ ifname, addr_info }) => [
        ifname,
        addr_info
          .filter((one) => one.scope === 'global')
          .map((one) => text({ address: one.local, prefix: one.prefixlen })),
      ]),
  );
}

/** Gives a vserver that runs exactly these addresses, on the interfaces that it has; answers the devices that it has not. */
export async function readdress(pid: number, places: Place[]): Promise<string[]> {
  const batch = async (lines: string[]) => {
    if (lines.length === 0) return;
    const argv = ['nsenter', '-t', String(pid), '-n', 'ip', '-force', '-batch', '-'];
    await run(argv, { input: `${lines.join('\n')}\n`, okCodes: [0, 1] }); // 1: one of them was there already
  };
  const wanted = new Map(
    places.map(({ port }) => [port.device, [...port.addresses, ...port.addresses6].map(text)] as const),
  );
  const before = await addressesInside(pid);
  await batch(
    [...wanted].flatMap(([device, own]) =>
      (before.get(device) ?? [])
        .filter((one) => !own.includes(one))
        .map((one) => `address del ${one} dev ${device}`),
    ),
  );
  // read again: with the first address of a subnet the others of it may have gone
  const now = await addressesInside(pid);
  const there = places.filter(({ port }) => now.has(port.device));
  await batch([
    ...[...wanted].flatMap(([device, own]) =>
      own
        .filter((one) => now.get(device)?.includes(one) === false)
        .map((one) => `address add ${one} dev ${device}${one.includes(':') ? ' nodad' : ''}`),
    ),
    ...routeLines(places),
    ...there.map(({ port }) => `link set dev ${port.device} address ${port.mac}`),
  ]);
  const after = await addressesInside(pid);
  for (const { port } of there)
    for (const one of wanted.get(port.device) ?? [])
      if (!after.get(port.device)?.includes(one))
        throw new Error(`${one} could not be set on ${port.device}`);
  return places.filter(({ port }) => !now.has(port.device)).map(({ port }) => port.device);
}
