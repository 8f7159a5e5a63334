import { blue, green } from '../../../deploy/vmlab/model.ts';
import {
  asClient,
  at,
  hostOf,
  inside,
  init,
  macOf,
  proofs,
  reached,
  row,
  slow,
  tagsOf,
  until,
  vms,
  web1,
} from '../kit.ts';

/** web1 on host1, in VLAN 10. */
export function firstRows(): void {
  proofs('web1 is made on VLAN 10, and the gateway and a client of VLAN 20 reach it', async () => {
    const there = (await at('master', 'vs scan')).stdout.includes('web1'); // on VMs that were kept
    if (!there)
      await vms().on(
        'master',
        `vs create web1 ${web1},fd60:10::5 busybox --host host1 --enable --start --yes`,
        slow,
      );
    await until(vms(), 'master', `ping -c 1 -W 2 ${web1}`, 600_000);
    await row(`on ${await hostOf('web1')}: reached by its gateway and from VLAN 20`, reachedAll);
  });
}

/** By the gateway and from VLAN 20, IPv4 and IPv6, by ICMP and TCP. */
export async function reachedAll(): Promise<{ held: boolean; figure: string }> {
  const ways = {
    'gateway IPv4': (await at('master', `ping -c 2 -W 5 -I eth1.10 ${web1}`)).code === 0,
    'gateway IPv6': (await at('master', 'ping -c 2 -W 5 fd60:10::5')).code === 0,
    'VLAN 20 IPv4': await reached(`ping -c 2 -W 5 ${web1}`),
    'VLAN 20 IPv6': await reached('ping -c 2 -W 5 fd60:10::5'),
    'VLAN 20 TCP': await reached(`nc -z -w 10 ${web1} 80`),
  };
  const lost = Object.entries(ways).filter(([, held]) => !held);
  return {
    held: lost.length === 0,
    figure:
      lost.length === 0 ? 'IPv4, IPv6 and TCP' : `not reached: ${lost.map(([name]) => name).join(', ')}`,
  };
}

export function wireRows(): void {
  proofs('1496 bytes pass with DF, 1497 do not', async () => {
    const host = await hostOf('web1');
    await row('1468 bytes with DF pass at MTU 1496, 1469 do not', async () => {
      const ping = (size: number) => asClient(`ping -M do -c 2 -W 5 -s ${size} ${web1}`);
      const [fits, more] = [await ping(1468), await ping(1469)];
      const told = /mtu ?= ?(\d+)/.exec(more.stdout + more.stderr)?.[1];
      return {
        held: fits.code === 0 && more.code !== 0 && told === String(blue.mtu),
        figure: `the router says mtu = ${told ?? 'nothing'}`,
      };
    });
    await row('that MTU on every hop of the host', async () => {
      const hops = await at(host, `ip -j link show | tr , '\\n' | grep -c '"mtu":${blue.mtu}'`);
      return { held: Number(hops.stdout) >= 3, figure: `${hops.stdout.trim()} devices: VLAN, bridge, port` };
    });
  });

  proofs('the wire has tag 10 alone of web1, and the host says nothing on it', async () => {
    const host = await hostOf('web1');
    await row('the wire has tag 10 alone from the host of web1', async () => {
      const since = Date.now();
      await asClient(`ping -c 5 -i 0.2 -W 5 ${web1}`);
      await asClient(`nc -z -w 10 ${web1} 80`);
      const frames = await vms().sent(host, since);
      const own = frames.filter((frame) => frame.addresses?.includes(web1));
      return {
        held: own.length >= 5 && tagsOf(frames) === '10',
        figure: `${frames.length} frames, ${own.length} of web1; tags: ${tagsOf(frames)}`,
      };
    });
    await row('no packet of the host on VLAN 10 or 20 while it talks to both', async () => {
      const since = Date.now();
      const there = await at(
        host,
        `ping -c 3 -W 5 ${web1}; ping -c 3 -W 5 ${green.client}; ping -c 3 -W 5 ${blue.gateway}`,
      );
      const talked = [...there.stdout.matchAll(/(\d) received/g)].map((match) => Number(match[1]));
      // somebody on the VLAN asks for every address that the host has
      const own = vms().machines.find(({ name }) => name === host)?.address;
      await at(
        'master',
        `for a in ${own} 10.0.2.15; do ip -4 neigh flush dev eth1.10; arping -c 2 -w 2 -I eth1.10 $a; done; ping -c 2 -W 1 ff02::1%eth1.10`,
      );
      const frames = await vms().sent(host, since);
      const guest = await macOf(host, 'web1');
      const ofHost = frames.filter(({ source }) => source !== guest);
      return {
        // that it talked to each is enough: an emulated one may lose a packet
        held: talked.length === 3 && !talked.includes(0) && ofHost.length === 0 && frames.length > 0,
        figure: `${frames.length} frames from its uplink, ${ofHost.length} not of web1; its pings: ${talked.join(' ')} of 3`,
      };
    });
  });

  proofs('conntrack: what web1 asked for comes back, what nobody asked for does not come in', async () => {
    const host = await hostOf('web1');
    const conf = 'enable\nallow to 10.60.20.50 to tcp/8080\n';
    await vms().on(host, 'cat > /var/lib/vservers/web1/firewall.conf', { input: conf });
    await vms().on('master', 'vs restart web1', slow);
    await until(vms(), 'master', `ip netns exec client ping -c 1 -W 2 ${web1}`, 600_000);
    await row(
      "conntrack in the vserver's firewall: a reply comes in, a new connection does not",
      async () => {
        const denied = await asClient(`nc -z -w 3 ${web1} 80`);
        await at(
          'master',
          'systemd-run -q --unit=vmlab-http ip netns exec client sh -c "while :; do printf \'HTTP/1.0 200 OK\\r\\n\\r\\nhello\' | nc -l -p 8080 -q 1; done"',
        );
        await until(vms(), 'master', 'ip netns exec client ss -ltn | grep -q :8080', 60_000);
        const reply = await inside(host, 'web1', `wget -q -T 20 -O - http://${green.client}:8080/`);
        const other = await inside(host, 'web1', `nc -w 3 ${green.client} 22 </dev/null`);
        await at('master', 'systemctl stop vmlab-http');
        return {
          held: denied.code !== 0 && reply.stdout.includes('hello'),
          figure: `reply "${reply.stdout.trim()}", new: ${denied.code === 0 ? 'passed' : 'denied'}, not allowed out: ${other.code === 0 ? 'passed' : 'denied'}`,
        };
      },
    );
    await vms().on(host, ': > /var/lib/vservers/web1/firewall.conf');
    await vms().on('master', 'vs restart web1', slow);
    await until(vms(), 'master', `ip netns exec client nc -z -w 2 ${web1} 80`, 600_000);
    await row('without rules all comes in again', async () => ({
      held: await reached(`nc -z -w 10 ${web1} 80`),
      figure: `init ${(await at(host, `echo ${init('web1')}`)).stdout.trim()} of ${host}`,
    }));
  });
}
