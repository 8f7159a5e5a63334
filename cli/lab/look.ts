import type { Command } from 'commander';
import { VsError } from '../../shared/errors.ts';
import { duration, probeTarget } from './values.ts';
import { type Named, load, verbOf } from './verb.ts';

/** The verbs that look at a lab, and into it. */
export function lookVerbs(lab: Command): void {
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
        VS_BROKER_CA: (await import('../../deploy/lab/certificates.ts')).authorityFile(found.name),
        VS_STREAM_VIA: new URL('../../deploy/lab/through.pl', import.meta.url).pathname,
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
      process.exitCode = await foreground([...(await entering(found, node, process.cwd())), ...command]);
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
