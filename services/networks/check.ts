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

interface Looked {
  host: string;
  findings: Finding[];
  /** The MTU that its vservers have there; absent where nothing leads out of the host. */
  mtu?: number;
}

async function lookAt(bus: Context['bus'], host: string, network: string): Promise<Looked> {
  try {
    const looked = await bus.request(host, 'network.examine', { network });
    const { uplink, mtu = 1500 } = looked.network;
    return { host, findings: judgeDevices(looked), ...(uplink === undefined ? {} : { mtu }) };
  } catch (error) {
    return { host, findings: [make('fail', 'host', sentence(error))] };
  }
}

/** Looks at a network on each of these hosts, then sends packets of full size from the others to the first. */
export async function checkNetwork(
  { bus }: Pick<Context, 'bus'>,
  network: string,
  hosts: { host: string; state: 'online' | 'offline' }[],
): Promise<{ host: string; findings: Finding[] }[]> {
  const results = await Promise.all(
    hosts.map(async ({ host, state }): Promise<Looked> => {
      if (state === 'online') return lookAt(bus, host, network);
      return { host, findings: [make('warn', 'host', 'offline, and could not be asked')] };
    }),
  );
  const linked = results.flatMap((one) => (one.mtu === undefined ? [] : [{ ...one, mtu: one.mtu }]));
  if (new Set(linked.map(({ mtu }) => mtu)).size > 1)
    for (const { findings, mtu } of linked)
      findings.push(
        make(
          'warn',
          'mtu',
          `its MTU is ${mtu}, other hosts have another one: large packets between their vservers are lost`,
          'the same mtu= for all, in networks.conf',
        ),
      );
  const [first, ...others] = linked;
  if (first && others.length > 0)
    try {
      const { address } = await bus.request(first.host, 'network.echo', { network, seconds: ECHO_S });
      const ways = others.map(async ({ host, findings, mtu }) =>
        findings.push(
          await through(bus, host, { network, address, to: first.host, mtu: Math.min(mtu, first.mtu) }),
        ),
      );
      await Promise.all(ways);
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
