import { setTimeout as sleep } from 'node:timers/promises';
import { asClient, at, hostOf, inside, macOf, proofs, row, slow, tagsOf, until, vms } from '../kit.ts';

const web2 = '10.60.20.6';
const web3 = '10.60.30.7';
const net = (script: string) => at('master', `vs net ${script}`);
const last = (text: string) => text.trim().split('\n').at(-1) ?? '';
type Look = Awaited<ReturnType<typeof net>>;
/** Looks at red until it is as wanted, for 300 s at most: an emulated host may not be so far at the first look. */
async function checked(isWanted: (look: Look) => boolean): Promise<Look> {
  for (const end = Date.now() + 300_000; ; await sleep(1000)) {
    const look = await net('check red');
    if (isWanted(look) || Date.now() > end) return look;
  }
}

/** More than one VLAN on a host, a network that comes and goes while others live, and what the uplink can do. */
export function networkRows(): void {
  proofs('web2 on VLAN 20 of the host of web1', async () => {
    const host = await hostOf('web1');
    await vms().on('master', `vs create web2 ${web2},fd60:20::6 busybox --host ${host} --start --yes`, slow);
    await until(vms(), 'master', `ping -c 1 -W 2 ${web2}`, 600_000);
    await row('web1 on VLAN 10 and web2 on VLAN 20 of one host talk through the router', async () => {
      const macs = { 10: await macOf(host, 'web1'), 20: await macOf(host, 'web2') };
      const since = Date.now();
      const talked = await inside(host, 'web1', `nc -w 10 ${web2} 80 </dev/null`);
      const back = await inside(host, 'web2', `nc -w 10 10.60.10.5 80 </dev/null`);
      const own = await at(host, `ping -c 2 -W 5 ${web2}`); // the host says something meanwhile
      const frames = await vms().sent(host, since);
      const routed = (await vms().sent('router', since)).filter(({ addresses }) => addresses?.includes(web2));
      const strange = frames.filter(({ vlan, source }) => !vlan || macs[vlan as 10 | 20] !== source);
      return {
        held:
          [talked, back, own].every(({ code }) => code === 0) &&
          strange.length === 0 &&
          tagsOf(frames) === '10, 20' &&
          routed.some(({ vlan }) => vlan === 20),
        figure: `${frames.length} frames of the host, tags ${tagsOf(frames)}, ${strange.length} of anybody but the two in their VLANs; ${routed.length} by the router`,
      };
    });
  });

  proofs(
    'a third network comes while others live; a host that can do less; an uplink that is down',
    async () => {
      await at(
        'master',
        'ip link add link eth1 name eth1.30 type vlan id 30; ip address add 10.60.30.1/24 dev eth1.30; ip link set eth1.30 up',
      );
      await at('master', 'echo "host1\nhost2:mtu=1496" > /etc/vs-tools/slaves.conf');
      await row('vs net add: VLAN 30 for all hosts, while others live', async () => {
        const added = await net('add 30 10.60.30.0/24 10.60.30.1 --name red --uplink eth1');
        const made = await at('master', `vs create web3 ${web3} busybox --host host2 --start --yes`);
        const since = Date.now();
        await until(vms(), 'master', `ip netns exec client ping -c 1 -W 2 ${web3}`, 600_000);
        const frames = (await vms().sent('host2', since)).filter(({ addresses }) =>
          addresses?.includes(web3),
        );
        return {
          held: added.code === 0 && made.code === 0 && frames.length > 0 && tagsOf(frames) === '30',
          figure: `${frames.length} frames of web3, tags ${tagsOf(frames)}; ${last(added.stdout + added.stderr)}`,
        };
      });
      await row('mtu=1496 of a host in slaves.conf is on every hop of it', async () => {
        const { stdout } = await at(
          'host2',
          `cat /sys/class/net/eth1.30/mtu /sys/class/net/vsbr30/mtu; lxc-attach -P /var/lib/vservers -n web3 -- cat /sys/class/net/eth0/mtu`,
        );
        const [vlan = '', bridge = '', guest = ''] = stdout.split('\n');
        const [fits, more] = [
          await asClient(`ping -M do -c 2 -W 5 -s 1468 ${web3}`),
          await inside('host2', 'web3', 'ping -c 2 -w 10 -s 1468 10.60.30.1'),
        ];
        return {
          held: [vlan, bridge, guest].join() === '1496,1496,1496' && fits.code === 0,
          figure: `VLAN ${vlan}, bridge ${bridge}, vserver ${guest}; 1468 bytes in: ${fits.code === 0 ? 'yes' : 'no'}, out: ${more.code === 0 ? 'yes' : 'no'}`,
        };
      });
      await row(
        'vs net check names an uplink without a carrier, and is content when it is back',
        async () => {
          await vms().monitor('host2', 'set_link', { name: 'eth1', up: false });
          const named = ({ code, stdout }: Look) =>
            code === 1 ? (stdout.split('\n').find((line) => /host2: fail uplink/.test(line)) ?? '') : '';
          const isNamed = (line: string) => line.includes('eth1 has no carrier');
          let told = '';
          try {
            await until(vms(), 'host2', '[ "$(cat /sys/class/net/eth1/carrier)" = 0 ]', 60_000);
            told = named(await checked((look) => isNamed(named(look))));
          } finally {
            await vms().monitor('host2', 'set_link', { name: 'eth1', up: true });
          }
          await until(vms(), 'host2', '[ "$(cat /sys/class/net/eth1/carrier)" = 1 ]', 60_000);
          const after = await checked(({ code }) => code === 0);
          const bad = after.stdout.split('\n').find((line) => /: fail/.test(line)) ?? last(after.stderr);
          return {
            held: isNamed(told) && after.code === 0,
            figure: `${told.replace(/ +/g, ' ') || 'it named none'}; then: ${after.code === 0 ? 'no fault' : bad}`,
          };
        },
      );
      await row('it goes when its last vserver goes, and the others have stayed', async () => {
        const refused = await net('remove red');
        const gone = await at('master', 'vs stop web3 && vs remove web3 --yes');
        await until(vms(), 'host2', '! [ -e /sys/class/net/eth1.30 ]', 300_000);
        const removed = await net('remove red');
        const lives = await asClient(`nc -z -w 10 ${web2} 80`);
        return {
          held: refused.code === 1 && gone.code === 0 && removed.code === 0 && lives.code === 0,
          figure: `refused: ${last(refused.stderr)}`.slice(0, 160),
        };
      });
      await at(
        'master',
        'ip link delete eth1.30; echo "host1\nhost2" > /etc/vs-tools/slaves.conf; vs net apply',
      );
      await at('master', 'vs stop web2; vs remove web2 --yes');
    },
  );
}
