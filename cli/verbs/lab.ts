import { isIP } from 'node:net';
import { type Command, InvalidArgumentError } from 'commander';
import type { UpOptions } from '../../deploy/lab/lab.ts';
import { VsError } from '../../shared/errors.ts';

/** Loaded when a lab verb runs, so that they cost the other verbs nothing. */
const load = {
  clock: () => import('../../deploy/lab/clock.ts'),
  enter: () => import('../../deploy/lab/enter.ts'),
  full: () => import('../../deploy/lab/full.ts'),
  lab: () => import('../../deploy/lab/lab.ts'),
  model: () => import('../../deploy/lab/model.ts'),
  node: () => import('../../deploy/lab/node.ts'),
  slow: () => import('../../deploy/lab/slow.ts'),
  status: () => import('../../deploy/lab/status.ts'),
  wires: () => import('../../deploy/lab/wires.ts'),
};

interface Named {
  name: string;
}

/** `10ms`, `30s`, `5m` in milliseconds. */
function duration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m)$/.exec(text);
  const ms = Number(match?.[1]) * ({ ms: 1, s: 1000, m: 60_000 }[match?.[2] ?? ''] ?? NaN);
  if (!(ms >= 1)) throw new InvalidArgumentError('A time is a number with a unit, such as 10ms, 30s or 5m.');
  return ms;
}

function count(limit: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (Number.isInteger(value) && value >= 1 && value <= limit) return value;
    throw new InvalidArgumentError(`It is a whole number from 1 to ${limit}.`);
  };
}

/** `1h`, `-90s` in seconds. */
function offset(text: string): number {
  const match = /^([+-]?)(\d{1,6})(s|m|h|d)$/.exec(text);
  const seconds = Number(match?.[2]) * ({ s: 1, m: 60, h: 3600, d: 86_400 }[match?.[3] ?? ''] ?? NaN);
  if (Number.isNaN(seconds)) throw new InvalidArgumentError('It is a time such as 1h or -90s.');
  return match?.[1] === '-' ? -seconds : seconds;
}

/** `900M`, `2G` in MB. */
function megabytes(text: string): number {
  const match = /^(\d{1,6})(M|G)$/.exec(text);
  const value = Number(match?.[1]) * (match?.[2] === 'G' ? 1024 : 1);
  if (Number.isNaN(value)) throw new InvalidArgumentError('It is a size such as 900M or 2G.');
  return value;
}

/** `5%` or `0.5` in percent. */
function percent(text: string): number {
  const value = /^\d+(\.\d+)?%?$/.test(text) ? Number.parseFloat(text) : NaN;
  if (value >= 0 && value <= 100) return value;
  throw new InvalidArgumentError('A loss is a share from 0 to 100 percent, such as 5%.');
}

/** `10mbit`, `500kbit`, `1gbit` in kbit/s. */
function rate(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(kbit|mbit|gbit)$/.exec(text);
  const kbit = Number(match?.[1]) * ({ kbit: 1, mbit: 1000, gbit: 1_000_000 }[match?.[2] ?? ''] ?? NaN);
  if (kbit >= 1) return kbit;
  throw new InvalidArgumentError('A rate is a number with a unit, such as 500kbit or 10mbit.');
}

function storage(text: string): 'btrfs' | 'dir' | 'mixed' {
  if (text === 'btrfs' || text === 'dir' || text === 'mixed') return text;
  throw new InvalidArgumentError('It is btrfs, dir or mixed.');
}

function external(text: string): 'mosquitto' | 'nats' {
  if (text === 'mosquitto' || text === 'nats') return text;
  throw new InvalidArgumentError('It is mosquitto or nats.');
}

/** ADDRESS:PORT, [ADDRESS6]:PORT, or with --icmp an address alone (a port is then left out). */
function probeTarget(text: string, icmp: boolean): string {
  const match = /^(?:\[(.+)\]|([^[\]:]+)):(\d{1,5})$/.exec(text);
  const address = match?.[1] ?? match?.[2] ?? (icmp ? text.replace(/^\[(.*)\]$/, '$1') : '');
  if (isIP(address) && (icmp || (Number(match?.[3]) > 0 && Number(match?.[3]) < 65_536))) {
    return icmp ? address : text;
  }
  throw new VsError('usage', `"${text}" is no address and port such as 10.60.10.5:80 or [fd60:10::5]:80.`);
}

/** A verb of `vs lab`, which is about the lab of --name. */
const verbOf = (lab: Command) => (name: string, summary: string, examples: string) =>
  lab
    .command(name)
    .description(summary)
    .option('--name <lab>', 'name of the lab', 'lab')
    .addHelpText('after', `\nExamples:\n${examples}`);

function runVerbs(lab: Command): void {
  const verb = verbOf(lab);
  verb(
    'up',
    'bring a lab up: a master, hosts, networks, a router and a prober',
    '  vs lab up\n  vs lab up --name l2 --hosts 3 --storage dir',
  )
    .option('--hosts <n>', 'how many hosts (2 unless told)', count(40))
    .option(
      '--storage <kind>',
      'storage of the hosts: btrfs (unless told), dir, which is ext4, or mixed, by turns',
      storage,
    )
    .option('--networks <n>', 'how many networks for vservers (2 unless told)', count(20))
    .option(
      '--broker <kind>',
      'mosquitto, or nats (three nodes), on the master instead of the embedded broker',
      external,
    )
    .option('--bare', 'nodes without services, to try things in')
    .option('--clocks', 'the services of each node have a clock of their own, for vs lab clock')
    .action(async (options: Named & UpOptions) => {
      const { up } = await load.lab();
      const made = await up({ ...options, say: (line) => console.log(`  ${line}`) });
      console.log(
        `Lab ${made.name} is up. Point the command line at it: eval "$(vs lab env${made.name === 'lab' ? '' : ` --name ${made.name}`})"`,
      );
    });
  verb('down', 'take a lab down and remove all of it', '  vs lab down --name l2').action(
    async (options: Named) => {
      const { down } = await load.lab();
      const there = await down(options.name);
      console.log(
        there ? `Lab ${options.name} is down; nothing of it is left.` : `There is no lab ${options.name}.`,
      );
    },
  );
  verb('kill', 'power cut: every process of a node by SIGKILL; its disk stays', '  vs lab kill host1')
    .argument('<node>', 'host1, host2, ... or master')
    .action(async (name: string, options: Named) => {
      const { nodeOf, requireLab } = await load.model();
      const { killNode } = await load.node();
      const found = await requireLab(options.name);
      await killNode(found, nodeOf(found, name));
    });
  verb('boot', 'boot a node that is off; returns once it is online', '  vs lab boot host1')
    .argument('<node>', 'host1, host2, ... or master')
    .action(async (name: string, options: Named) => {
      const { nodeOf, requireLab } = await load.model();
      const { bootNode } = await load.node();
      const found = await requireLab(options.name);
      await bootNode(found, nodeOf(found, name));
      if (found.bare) return;
      const { awaitOnline } = await load.lab();
      const { status } = await load.status();
      const master = (await status(found)).nodes.find((node) => node.role === 'master');
      if (!master?.running) return; // nobody could hear of it
      if ((await awaitOnline(found, 20, [name])).length > 0)
        process.stderr.write(
          `vs: ${name} is booted, but not online after 20 s; its logs lie in /var/lib/vslab-${found.name}/${name}/log\n`,
        );
    });
  verb(
    'cut',
    'cut the management network of a node, wholly or towards one other node',
    '  vs lab cut host1\n  vs lab cut host1 --from master',
  )
    .argument('<node>', 'host1, host2, ... or master')
    .option('--from <node>', 'only the way to this node')
    .action(async (name: string, options: Named & { from?: string }) => {
      const { requireLab } = await load.model();
      const { cut } = await load.wires();
      await cut(await requireLab(options.name), name, options.from);
    });
  verb(
    'slow',
    'make the management link of a node slow, both ways, until --off, kill or down',
    '  vs lab slow host1\n  vs lab slow host1 --delay 50ms --loss 0% --rate 10mbit\n  vs lab slow host1 --off',
  )
    .argument('<node>', 'host1, host2, ... or master')
    .option('--delay <time>', 'what a round trip takes longer', duration, 200)
    .option('--loss <percent>', 'how much is lost, each way', percent, 5)
    .option('--rate <rate>', 'how much passes, each way (no limit unless told)', rate)
    .option('--off', 'the link is as fast as it was')
    .action(
      async (
        name: string,
        options: Named & { delay: number; loss: number; rate?: number; off?: boolean },
      ) => {
        const { nodeOf, requireLab } = await load.model();
        const { slowDown, speedUp } = await load.slow();
        const found = await requireLab(options.name);
        const node = nodeOf(found, name);
        if (options.off) await speedUp(found, node);
        else
          await slowDown(found, node, {
            delayMs: options.delay,
            loss: options.loss,
            kbit: options.rate ?? 0,
          });
      },
    );
  verb(
    'full',
    "fill a host's disk, or that of the master's journals, until --off",
    '  vs lab full host2 --leave 900M\n  vs lab full host2 --off\n  vs lab full master',
  )
    .argument('<node>', 'host1, host2, ... or master')
    .option('--leave <size>', 'how much is left free on a host', megabytes, 1)
    .option('--off', 'there is room again')
    .action(async (name: string, options: Named & { leave: number; off?: boolean }) => {
      const { nodeOf, requireLab } = await load.model();
      const { emptyDisk, fillDisk } = await load.full();
      const found = await requireLab(options.name);
      const node = nodeOf(found, name);
      await (options.off ? emptyDisk(found, node) : fillDisk(found, node, options.leave));
    });
  verb(
    'clock',
    "set the clock of a node's services beside the machine's (a lab that is up with --clocks)",
    '  vs lab clock host1 --by 1h\n  vs lab clock host1 --by -1h\n  vs lab clock host1 --off',
  )
    .argument('<node>', 'host1, host2, ... or master')
    .option('--by <time>', 'how far it is in front; with a minus, behind', offset)
    .option('--off', 'as the machine has it')
    .action(async (name: string, options: Named & { by?: number; off?: boolean }) => {
      if ((options.by === undefined) === (options.off === undefined))
        throw new VsError('usage', 'Say how far: --by 1h, --by -90s, or --off.');
      const { nodeOf, requireLab } = await load.model();
      const { setClock } = await load.clock();
      const found = await requireLab(options.name);
      await setClock(found, nodeOf(found, name), options.by ?? 0);
    });
  verb('heal', 'end every cut', '  vs lab heal').action(async (options: Named) => {
    const { requireLab } = await load.model();
    const { heal } = await load.wires();
    await heal(await requireLab(options.name));
  });
}

function lookVerbs(lab: Command): void {
  const verb = verbOf(lab);
  verb('status', 'hosts, addresses, networks, storage and processes of a lab', '  vs lab status --json')
    .option('--json', 'for programs')
    .action(async (options: Named & { json?: boolean }) => {
      const { requireLab } = await load.model();
      const { describe, status } = await load.status();
      const state = await status(await requireLab(options.name));
      console.log(options.json ? JSON.stringify(state, null, 2) : describe(state));
    });
  verb('env', 'shell lines that point the command line at a lab', '  eval "$(vs lab env)"').action(
    async (options: Named) => {
      const { paths, requireLab } = await load.model();
      const found = await requireLab(options.name);
      const at = paths(found.name);
      const values = {
        VS_BROKER_URL: found.broker ? `mqtts://127.0.0.1:${found.port}` : `unix://${at.socket}`,
        VS_BROKER_KIND: found.broker ?? 'embedded',
        VS_BROKER_USER: 'operator',
        ...(found.broker === 'nats'
          ? { VS_BROKER_CERT: `${at.secret('operator')}.pem`, VS_BROKER_KEY: `${at.secret('operator')}.key` }
          : { VS_BROKER_PASSWORD_FILE: at.secret('operator') }),
        ...(found.broker
          ? { VS_BROKER_CA: (await import('../../deploy/lab/certificates.ts')).authorityFile(found.name) }
          : {}),
        VS_LAB: found.name,
      };
      for (const [key, value] of Object.entries(values)) console.log(`export ${key}=${value}`);
    },
  );
  verb(
    'mqtt',
    "options with which a client of this machine reaches the lab's broker",
    "  mosquitto_sub $(vs lab mqtt viewer) -t 'vs/1/#' -v",
  )
    .argument('<user>', 'operator or viewer')
    .action(async (user: string, options: Named) => {
      const { mqttOptions } = await load.lab();
      const { requireLab } = await load.model();
      if (user !== 'operator' && user !== 'viewer') {
        throw new VsError('usage', `"${user}" is none of the lab's users: operator, viewer.`);
      }
      console.log((await mqttOptions(await requireLab(options.name), user)).join(' '));
    });
  verb(
    'exec',
    'run a command in a node, or in the namespace of router, switch or prober',
    '  vs lab exec host1 -- lxc-ls -P /var/lib/vservers\n  vs lab exec prober -- ping -c 3 10.60.10.5',
  )
    .argument('<node>', 'host1, ..., master, router, switch or prober')
    .argument('<command...>', 'the command and its arguments, after --')
    .action(async (node: string, command: string[], options: Named) => {
      const { entering, foreground } = await load.enter();
      const { requireLab } = await load.model();
      const found = await requireLab(options.name);
      process.exitCode = await foreground([...(await entering(found, node)), ...command]);
    });
  verb(
    'probe',
    'ask an address again and again from behind the router; tell the longest gap',
    '  vs lab probe 10.60.10.5:80 --interval 10ms --for 30s --json\n  vs lab probe 10.60.10.5 --icmp',
  )
    .argument('<target>', 'ADDRESS:PORT, [ADDRESS6]:PORT, or ADDRESS with --icmp')
    .option('--icmp', 'ping instead of TCP')
    .option('--read', 'an answer is a byte that comes, not the connection alone')
    .option('--interval <time>', 'time between two attempts', duration, 10)
    .option('--for <time>', 'how long; ends at SIGINT too', duration, 30_000)
    .option('--json', 'for programs')
    .action(
      async (
        target: string,
        options: Named & { icmp?: boolean; read?: boolean; interval: number; for: number; json?: boolean },
      ) => {
        const { foreground } = await load.enter();
        const { namespaceFile, requireLab } = await load.model();
        const found = await requireLab(options.name);
        const script = new URL('../../deploy/lab/probe.ts', import.meta.url).pathname;
        const words = ['--interval', String(options.interval), '--for', String(options.for)];
        for (const flag of ['icmp', 'read', 'json'] as const) if (options[flag]) words.push(`--${flag}`);
        const space = ['nsenter', `--net=${namespaceFile(found.name, 'prober')}`, '--'];
        const wanted = probeTarget(target, options.icmp ?? false);
        process.exitCode = await foreground([...space, process.execPath, script, ...words, '--', wanted]);
      },
    );
}

/** `vs lab`: a pool on one machine, for trying and testing. */
export function register(program: Command): void {
  const lab = program
    .command('lab')
    .description('a pool on this one machine, to try and to test (root)')
    .addHelpText('after', '\nExamples:\n  vs lab up\n  eval "$(vs lab env)"\n  vs lab down');
  runVerbs(lab);
  lookVerbs(lab);
}
