import type { Data } from '../../shared/contract/commands.ts';
import type { Finding } from '../../shared/contract/doctor.ts';
import type { Context } from '../../shared/service.ts';

type Examined = Data<'network.examine'>;

const make = (result: Finding['result'], check: string, message: string, todo?: string): Finding => ({
  check,
  result,
  message,
  ...(todo === undefined ? {} : { todo }),
});

/** Decides whether the devices of a network on one host are as they should be. */
export function judgeDevices({ network, guard, devices }: Examined): Finding[] {
  const mtu = network.mtu ?? 1500;
  const isUp = devices.some((one) => one.role === 'bridge' && one.there);
  const findings = devices.map(({ device, role, vserver, there, up, carrier, mtu: has = 0 }): Finding => {
    const what = vserver ? `${vserver} (${device})` : device;
    if (!there)
      return role === 'uplink'
        ? make(
            'fail',
            role,
            `there is no device ${device}`,
            'mend uplink= in networks.conf or slaves.conf, then: vs net apply',
          )
        : make(
            isUp ? 'fail' : 'ok',
            role,
            `${device} is not there${isUp ? '' : ': the network is down'}`,
            isUp ? 'vs net up' : undefined,
          );
    if (!up && (isUp || role !== 'uplink'))
      return make('fail', role, `${what} is down`, `ip link set ${device} up`);
    if (!carrier && role !== 'bridge')
      return make(
        isUp ? 'fail' : 'warn',
        role,
        `${what} has no carrier`,
        'look at its cable, and at the other end',
      );
    // a bridge without ports has none
    if (has < mtu && (isUp || role !== 'uplink'))
      return make(
        'fail',
        role,
        `${what} takes packets of ${has} bytes, the network has ${mtu}`,
        role === 'vserver' ? `restart ${vserver}` : 'vs net up, or mtu= in networks.conf or slaves.conf',
      );
    return make('ok', role, `${what}, MTU ${has}`);
  });
  if (isUp)
    findings.push(
      guard
        ? make('ok', 'guard', 'the host is kept off the network')
        : make('fail', 'guard', 'nothing keeps the host off the network', 'vs net up renews the guard'),
    );
  return findings;
}

/** So long (s) a host answers the others. */
const ECHO_S = 45;
const sentence = (error: unknown) => (error instanceof Error ? error.message : String(error));

/** Looks at a network on each of these hosts, then sends packets of full size from the others to the first. */
export async function checkNetwork(
  { bus }: Pick<Context, 'bus'>,
  network: string,
  hosts: { host: string; state: 'online' | 'offline' }[],
): Promise<{ host: string; findings: Finding[] }[]> {
  const examine = async (host: string) => {
    const looked = await bus.request(host, 'network.examine', { network });
    return { host, looked, findings: judgeDevices(looked) };
  };
  const results = await Promise.all(
    hosts.map(async ({ host, state }) => {
      if (state === 'offline')
        return { host, findings: [make('warn', 'host', 'offline, and could not be asked')] };
      return examine(host).catch((error: unknown) => ({
        host,
        findings: [make('fail', 'host', sentence(error))],
      }));
    }),
  );
  const there = results.filter((one) => 'looked' in one && one.looked.network.uplink !== undefined);
  const sizes = new Set(there.map((one) => ('looked' in one ? one.looked.network.mtu : undefined)));
  for (const one of sizes.size > 1 ? there : [])
    if ('looked' in one)
      one.findings.push(
        make(
          'warn',
          'mtu',
          `its MTU is ${one.looked.network.mtu}, other hosts have another one: large packets between their vservers are lost`,
          'the same mtu= for all, in networks.conf',
        ),
      );
  const [first, ...others] = there;
  if (!first || others.length === 0) return results.map(({ host, findings }) => ({ host, findings }));
  try {
    const { address } = await bus.request(first.host, 'network.echo', { network, seconds: ECHO_S });
    await Promise.all(
      others.map(async (one) => {
        if ('looked' in one && 'looked' in first)
          one.findings.push(
            await through(bus, one.host, {
              network,
              address,
              to: first.host,
              mtu: Math.min(one.looked.network.mtu ?? 1500, first.looked.network.mtu ?? 1500),
            }),
          );
      }),
    );
  } catch (error) {
    first.findings.push(make('fail', 'path', sentence(error)));
  }
  return results.map(({ host, findings }) => ({ host, findings }));
}

async function through(
  bus: Context['bus'],
  host: string,
  way: { network: string; address: string; to: string; mtu: number },
): Promise<Finding> {
  const { network, address, to, mtu } = way;
  try {
    const { passes } = await bus.request(
      host,
      'network.probe',
      { network, address, mtu },
      { timeoutMs: ECHO_S * 1000 },
    );
    if (passes === mtu) return make('ok', 'path', `packets of ${mtu} bytes pass whole to ${to} and back`);
    return passes === null
      ? make(
          'fail',
          'path',
          `nothing comes back from ${to} over this network`,
          'look at the switch: its VLAN, and the ports of both hosts',
        )
      : make(
          'fail',
          'path',
          `packets of ${passes} bytes pass to ${to}, those of ${mtu} do not`,
          `raise the MTU of what is between them, or mtu=${passes} in networks.conf`,
        );
  } catch (error) {
    return make('fail', 'path', sentence(error));
  }
}
