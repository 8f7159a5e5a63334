import { writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { run } from '../../shared/run.ts';

const link = z.looseObject({
  ifname: z.string(),
  mtu: z.int(),
  flags: z.array(z.string()),
  master: z.string().optional(),
  address: z.string().optional(),
  operstate: z.string().optional(),
});
export type Link = z.infer<typeof link>;

/** The devices of this host, by name (`ip -j link`). */
export async function links(): Promise<Map<string, Link>> {
  const { stdout } = await run(['ip', '-j', 'link', 'show']);
  return new Map(
    z
      .array(link)
      .parse(JSON.parse(stdout))
      .map((one) => [one.ifname, one]),
  );
}

const addressed = z.array(
  z.looseObject({
    ifname: z.string(),
    addr_info: z.array(
      z.looseObject({ local: z.string().optional(), prefixlen: z.int(), scope: z.string() }),
    ),
  }),
);
/** The addresses with their prefix of each device in what `ip -j address show` prints, but link-local ones. */
export const addressesIn = (stdout: string): Map<string, string[]> =>
  new Map(
    addressed
      .parse(JSON.parse(stdout))
      .map(({ ifname, addr_info }) => [
        ifname,
        addr_info.flatMap(({ local, prefixlen, scope }) =>
          scope === 'global' && local ? [`${local}/${prefixlen}`] : [],
        ),
      ]),
  );
/** The addresses that this host itself has on a device, but link-local ones. */
export async function addressesOn(device: string): Promise<string[]> {
  const { stdout } = await run(['ip', '-j', 'address', 'show', 'dev', device]);
  return [...addressesIn(stdout).values()].flat().map((one) => one.split('/')[0] ?? one);
}

/** Runs one `ip` command. */
export const ip = (...args: string[]) => run(['ip', ...args]);

/** Writes a setting of a device below /proc/sys/net; by path, for VLAN devices have dots in their names. */
export async function sysctl(
  family: 'ipv4' | 'ipv6',
  device: string,
  key: string,
  value: string,
): Promise<void> {
  await writeFile(`/proc/sys/net/${family}/conf/${device}/${key}`, value).catch(
    (error: NodeJS.ErrnoException) => {
      if (family === 'ipv6' && error.code === 'ENOENT') return; // a kernel without IPv6
      throw error;
    },
  );
}
