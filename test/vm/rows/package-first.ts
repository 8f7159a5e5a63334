import { ownAt } from '../../../deploy/vmlab/mirror.ts';
import { at, hostOf, inside, note, proofs, row, say, slow, until, vms, web1 } from '../kit.ts';
import { reachedAll } from './wire.ts';

export const hosts = ['host1', 'host2'];
export const everyone = ['master', ...hosts];
export const last = (text: string): string => text.trim().split('\n').at(-1) ?? '';
/** Runs `vs` on the master; it must work, and answers what it printed. */
export const vs = async (script: string): Promise<string> =>
  (await vms().on('master', `vs ${script}`, slow)).stdout;
/** apt as a person without a terminal calls it. */
export const apt = (machine: string, what: string) =>
  vms().on(
    machine,
    `export DEBIAN_FRONTEND=noninteractive; apt-get -y -qq -o Dpkg::Use-Pty=0 ${what} </dev/null`,
    slow,
  );
/** The file of a package of vs-tools: the one before, or that of now. */
export const file = (which: 'before' | 'now'): string =>
  `$(ls ${ownAt}/*.deb | ${which === 'before' ? 'grep' : 'grep -v'} before)`;

/** What the package recommends: all of it with VS_VM_RECOMMENDS=1, else what these proofs need of it, for an emulated processor. */
const besides = (machine: string): string =>
  process.env['VS_VM_RECOMMENDS'] === '1'
    ? ''
    : `--no-install-recommends busybox-static ${machine === 'master' ? 'default-mta' : 'apparmor'}`;

const installed = async (machine: string): Promise<boolean> =>
  (await at(machine, 'test -x /usr/sbin/vs')).code === 0;

/** From three bare Debians to a vserver that has moved: docs/getting-started.md, in its order. */
export function firstSteps(): void {
  proofs('the package is installed on three bare Debians', async () => {
    const start = Date.now();
    await Promise.all(
      everyone.map(async (machine) => {
        if (await installed(machine)) return; // on VMs that were kept
        await apt(machine, 'update');
        await apt(machine, `install ${besides(machine)} ${file('before')}`);
        say(`${machine} has the package`);
      }),
    );
    note('installed', undefined, `${((Date.now() - start) / 1000).toFixed(0)} s, all three at once`);
    await row('nothing runs and nothing is enabled by the installation', async () => {
      const { stdout } = await at(
        'host1',
        "systemctl list-units --all --plain --no-legend 'vs-*' | grep -c ' active '; ls /etc/systemd/system/*.wants | grep -c '^vs-'; vs --version",
      );
      const [active, enabled, version] = stdout.trim().split('\n');
      return { held: active === '0' && enabled === '0', figure: `${version}` };
    });
  });

  proofs('a master, and two hosts join', async () => {
    if ((await at('master', 'test -e /etc/vs-tools/vs-tools.conf')).code !== 0) {
      await vms().on('master', 'vs master init --name 10.97.0.1 --yes', slow);
      await vms().on('master', 'systemctl enable --now vs-broker vs-master', slow);
      say('the services of the master are ready');
      await vs('net add 10 10.60.10.0/24 10.60.10.1 --name blue --uplink eth1');
    }
    await row('vs doctor on a new master', doctored('doctor'));
    await Promise.all(
      hosts.map(async (host) => {
        if ((await at(host, 'test -e /etc/vs-tools/vs-tools.conf')).code === 0) return;
        const [line = ''] = /vs join \S+ --token \S+/.exec(await vs(`host token ${host}`)) ?? [];
        await vms().on(host, line, slow);
        await vms().on(host, 'systemctl enable --now vs-agent vs-vservers', slow);
        say(`${host} has joined`);
      }),
    );
    await until(vms(), 'master', `[ "$(vs host list | grep -c ' online ')" = ${hosts.length} ]`, 600_000);
    await row('vs doctor --all: all is in order', doctored('doctor --all'));
  });

  proofs('web1 is made, entered and moved', async () => {
    if (!(await vs('scan')).includes('web1'))
      await vs(`create web1 ${web1} busybox --host host1 --enable --start --yes`);
    await until(vms(), 'master', `ping -c 1 -W 2 ${web1}`, 600_000);
    await row('vs exec', async () => {
      const said = (await vs('exec web1 -- cat /etc/hostname')).trim();
      return { held: said === 'web1', figure: said };
    });
    await row('vs limit, at once', async () => {
      await vs('limit web1 --memory 64M');
      const { stdout } = await at(
        await hostOf('web1'),
        'cat "/sys/fs/cgroup$(sed -n s/^0:://p /proc/$(lxc-info -P /var/lib/vservers -n web1 -p -H)/cgroup | sed s:/init.scope::)/memory.max"',
      );
      return { held: stdout.trim() === String(64 * 1024 ** 2), figure: stdout.trim() };
    });
    await row('vs move, and it answers', async () => {
      const source = await hostOf('web1');
      const target = source === 'host1' ? 'host2' : 'host1';
      const said = last(await vs(`move web1 ${target}`));
      const answers = await reachedIpv4();
      return { held: (await hostOf('web1')) === target && answers.held, figure: said };
    });
  });

  proofs('its firewall', async () => {
    const host = await hostOf('web1');
    await vms().on(host, 'cat > /var/lib/vservers/web1/firewall.conf', {
      input: 'enable\nallow from 10.60.20.50 tcp/80\n',
    });
    await vs('fw reload web1');
    await row('80 passes for the client, and for nobody else', async () => {
      const client = await at('master', `ip netns exec client nc -z -w 10 ${web1} 80`);
      const router = await at('master', `nc -z -w 5 ${web1} 80`);
      return { held: client.code === 0 && router.code !== 0, figure: `${client.code} ${router.code}` };
    });
    await inside(host, 'web1', 'touch /marked');
  });
}

/** IPv4 alone: the network of this pool has no IPv6. */
async function reachedIpv4(): Promise<{ held: boolean }> {
  const { figure } = await reachedAll();
  return { held: !figure.includes('IPv4') || figure === 'IPv4, IPv6 and TCP' };
}

/** A doctor without a fault: what it says beside "ok" is the figure. */
export const doctored = (command: string) => async () => {
  const { code, stdout, stderr } = await at('master', `vs ${command}`);
  say(stdout + stderr);
  return { held: code === 0, figure: last(stdout + stderr).slice(0, 200) };
};
