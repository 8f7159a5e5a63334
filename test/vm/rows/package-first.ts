import { mirrorAt, ownAt } from '../../../deploy/vmlab/mirror.ts';
import { quote } from '../../../deploy/vmlab/quote.ts';
import { guide } from '../guide.ts';
import { anyCode, at, hostOf, inside, note, proofs, row, say, slow, until, vms, web1 } from '../kit.ts';

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
const patterns = { before: 'grep before', now: 'grep -v -e before -e broken', broken: 'grep broken' };
/** The file of a package of vs-tools: the one before, that of now, or a next one that is broken. */
export const file = (which: keyof typeof patterns): string => `$(ls ${ownAt}/*.deb | ${patterns[which]})`;

const whole = process.env['VS_VM_RECOMMENDS'] === '1';
/** What the package recommends: all of it with VS_VM_RECOMMENDS=1, else what these proofs need of it, for an emulated processor. */
const besides = (machine: string): string =>
  whole
    ? ''
    : ` -o APT::Install-Recommends=false busybox-static ${machine === 'master' ? 'default-mta' : 'apparmor'}`;

/** What Debian's tree has not by itself, and busybox has: something that answers at port 80. */
const server = `[Service]
ExecStart=/usr/bin/perl -MIO::Socket::INET -e "my $$server = IO::Socket::INET->new(LocalPort => 80, Listen => 64, ReuseAddr => 1) or die; while (my $$client = $$server->accept) { close $$client }"
[Install]
WantedBy=multi-user.target
`;

/** A person at a terminal types a command, and what it asks for; it must work. Answers what the terminal shows. */
export async function typed(machine: string, command: string, answers = ''): Promise<string> {
  say(`${machine}# ${command}`);
  // what is typed comes when an emulated processor has got as far as to read it
  const thought = answers === '' ? 0 : 45;
  const terminal = `export TERM=xterm EDITOR=true DEBIAN_FRONTEND=noninteractive; cd ${ownAt} && { sleep ${thought}; printf ${quote(answers)}; } | script -qec ${quote(command)} /dev/null`;
  const { code, stdout, stderr } = await vms().on(machine, terminal, { ok: anyCode, timeoutMs: 1_800_000 });
  if (code !== 0) throw new Error(`${machine}# ${command}: exit ${code}: ${last(stdout + stderr)}`);
  return stdout.replaceAll('\r', '');
}
/** The commands of a block of the guide, one after the other; `as` makes of one what a person makes of it, and what is answered. */
export async function follow(machine: string, commands: string[], answers: Record<string, string> = {}) {
  const shown: string[] = [];
  for (const command of commands) shown.push(await typed(machine, command, answers[command]));
  return shown.join('');
}
const has = async (machine: string, path: string): Promise<boolean> =>
  (await at(machine, `test -e ${path}`)).code === 0;

/** From three bare Debians to a vserver that has moved: docs/getting-started.md, in its order, every command as it is printed. */
export function firstSteps(): void {
  const block = guide();
  proofs('the package is installed on three bare Debians', async () => {
    const start = Date.now();
    await Promise.all(
      everyone.map(async (machine) => {
        if (await has(machine, '/usr/sbin/vs')) return; // on VMs that were kept
        await apt(machine, 'update');
        const name = (await at(machine, `basename ${file('before')}`)).stdout.trim();
        for (const command of block(2))
          await typed(
            machine,
            command.replace('vs-tools_VERSION_amd64.deb', name) + besides(machine),
            'y\\n',
          );
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

  proofs('a master, and two hosts join: the guide, word by word', async () => {
    const lines = new Map<string, string>();
    const isJoined = await has('master', '/etc/vs-tools/vs-tools.conf'); // on VMs that were kept
    if (!isJoined) {
      const shown = await follow('master', block(3), { 'vs master init': 'y\\n' });
      for (const [line, host = ''] of shown.matchAll(/vs join \S+ --token (host\d)\.\S+/g))
        lines.set(host, line);
    }
    await row('each token is a line for its host', () =>
      Promise.resolve({
        held: isJoined || lines.size === hosts.length,
        figure: isJoined ? 'joined before' : [...lines.keys()].join(', '),
      }),
    );
    await Promise.all(
      hosts.map(async (host) => {
        if (await has(host, '/etc/vs-tools/vs-tools.conf')) return;
        await follow(
          host,
          block(4).map((line) => (line.startsWith('vs join ') ? (lines.get(host) ?? line) : line)),
        );
      }),
    );
    await row('the lxc-net that apt has started is off', async () => {
      const { code } = await at('host1', 'ip link show lxcbr0');
      return { held: code !== 0, figure: code === 0 ? 'lxcbr0 is there' : 'no lxcbr0' };
    });
    await until(vms(), 'master', `[ "$(vs host list | grep -c ' online ')" = ${hosts.length} ]`, 900_000);
    await row('vs host list and vs doctor --all: all is in order', async () => {
      const shown = await follow('master', block(4, 1));
      say(shown);
      return { held: true, figure: last(shown) };
    });
  });

  proofs('a vserver, and its move: the guide, word by word', async () => {
    const source = whole ? 'trixie' : 'busybox'; // which the guide says will do
    if (!(await vs('scan')).includes('web1')) {
      if (whole)
        await vms().on(
          'master',
          `printf 'TEMPLATE_MIRROR="deb [trusted=yes] copy:${mirrorAt} trixie main"\\n' >> /etc/vs-tools/vs-tools.conf; systemctl restart vs-master`,
          slow,
        );
      const commands = block(5).map((line) => line.replace(' trixie ', ` ${source} `));
      const shown = await follow('master', commands, { 'vs enter web1': 'exit\\n' });
      await row('made, entered, limited', () =>
        Promise.resolve({ held: /^web1$/m.test(shown), figure: last(shown) }),
      );
    }
    await until(vms(), 'master', `ping -c 1 -W 2 ${web1}`, 600_000);
    await row('the limit holds', async () => {
      const { stdout } = await at(await hostOf('web1'), 'cat /sys/fs/cgroup/lxc.payload.web1/memory.max');
      return { held: stdout.trim() === String(512 * 1024 ** 2), figure: stdout.trim() };
    });
    await row('moved to host2, and it answers', async () => {
      if ((await hostOf('web1')) === 'host2') return { held: true, figure: 'before' };
      const shown = await follow('master', block(6));
      const { code } = await at('master', `ip netns exec client ping -c 2 -W 5 ${web1}`);
      const took = /runs on host2: .*/.exec(shown)?.[0] ?? last(shown);
      return { held: code === 0 && (await hostOf('web1')) === 'host2', figure: took };
    });
  });

  proofs('its firewall', async () => {
    const host = await hostOf('web1');
    if (whole)
      await vms().on(
        host,
        "lxc-attach -P /var/lib/vservers -n web1 -- sh -c 'cat > /etc/systemd/system/web.service && systemctl enable --now web.service'",
        { ...slow, input: server },
      );
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
