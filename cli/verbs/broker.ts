import { randomBytes } from 'node:crypto';
import type { Command } from 'commander';
import type { NatsNode } from '../../broker/external/nats.ts';
import type { Settings } from '../../config/settings.ts';
import type { User } from '../../broker/users.ts';
import { VsError } from '../../shared/errors.ts';
import { quoted } from '../names.ts';

interface Common {
  out?: string;
  data?: string;
  cert?: string;
  key?: string;
  ca?: string;
  runAs: string;
}
interface Mosquitto extends Common {
  listen: string;
  passwordListen: string;
  crl?: string;
}
type Nats = Common & { nodes: string };

function absolute(option: string, path: string): string {
  if (!/^\/[^\s"'{}$]*$/.test(path) || path.endsWith('/'))
    throw new VsError('usage', `${option} is an absolute path without spaces, not ${quoted(path)}.`);
  return path;
}
function listenAt(option: string, text: string): string {
  const [, , port] = /^(?:(\[[0-9a-f:]+\]|[0-9.]+):)?(\d+)$/.exec(text) ?? [];
  if (!port || Number(port) > 65_535)
    throw new VsError('usage', `${option} is a port or ADDRESS:PORT, not ${quoted(text)}.`);
  return text;
}

/** `n1=10.0.0.1,n2=10.0.0.2[:PORT[:ROUTE-PORT]]` */
function nodesOf(text: string): NatsNode[] {
  const nodes = text.split(',').map((one) => {
    const [, name, address, port = '8883', routePort = '6222'] =
      /^([a-z0-9-]{1,32})=(\[[0-9a-f:]+\]|[A-Za-z0-9.-]+)(?::(\d+))?(?::(\d+))?$/.exec(one.trim()) ?? [];
    if (!name || !address || Number(port) > 65_535 || Number(routePort) > 65_535)
      throw new VsError('usage', `A node is NAME=ADDRESS, such as n1=10.0.0.1, not ${quoted(one)}.`);
    return { name, address, port: Number(port), routePort: Number(routePort) };
  });
  if (new Set(nodes.map((node) => node.name)).size < nodes.length)
    throw new VsError('usage', 'Each node has a name of its own.');
  if (![1, 3, 5].includes(nodes.length))
    throw new VsError(
      'usage',
      `A cluster has 3 or 5 nodes (1 to try it), for more than half of them must live; not ${nodes.length}.`,
    );
  return nodes;
}

async function usersOf(settings: Settings): Promise<Record<string, User>> {
  const { usersFile } = await import('../../broker/users.ts');
  const { readJson } = await import('../../shared/store.ts');
  const found = await readJson(settings.BROKER_USERS, usersFile);
  if (!found)
    throw new VsError(
      'not-found',
      `There is no users file ${settings.BROKER_USERS}; this works on the master, and "vs user add" makes the file.`,
    );
  return found.users;
}

/** What both kinds need: the files by path, TLS_DIR's unless named. */
function filesOf(options: Common, settings: Settings) {
  const at = (option: string, path: string | undefined, file: string) =>
    absolute(option, path ?? `${settings.TLS_DIR}/${file}`);
  return {
    cert: at('--cert', options.cert, 'host.pem'),
    key: at('--key', options.key, 'host.key'),
    ca: at('--ca', options.ca, 'ca.pem'),
  };
}

/** The ids of a user of this system; undefined when there is none, or when only root could give files away. */
async function ownerOf(name: string): Promise<{ uid: number; gid: number } | undefined> {
  if (!/^[a-z_][a-z0-9_-]{0,31}$/.test(name))
    throw new VsError('usage', `--run-as is a user of this system, not ${quoted(name)}.`);
  if (process.getuid?.() !== 0) return undefined;
  const { readFile } = await import('node:fs/promises');
  const lines = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'));
  const [, , uid, gid] = lines.find((words) => words[0] === name) ?? [];
  return uid && gid ? { uid: Number(uid), gid: Number(gid) } : undefined;
}

/** The secret that lies there already, so that writing again changes nothing. */
async function secretIn(file: string): Promise<string> {
  const { readFile } = await import('node:fs/promises');
  const text = await readFile(file, 'utf8').catch(() => '');
  return /^[0-9a-f]{48}$/m.exec(text)?.[0] ?? randomBytes(24).toString('hex');
}

const say = (changed: string[], out: string) =>
  console.log(
    changed.length > 0 ? changed.map((path) => `wrote ${path}`).join('\n') : `${out} is as it shall be`,
  );

async function mosquitto(options: Mosquitto): Promise<void> {
  const { loadSettings } = await import('../../config/settings.ts');
  const { mosquittoConfig } = await import('../../broker/external/mosquitto.ts');
  const { writeConfig } = await import('../../broker/external/file.ts');
  const settings = loadSettings();
  const out = absolute('--out', options.out ?? `${settings.CONFIG_DIR}/mosquitto`);
  const owner = await ownerOf(options.runAs);
  const { files, without } = mosquittoConfig(
    await usersOf(settings),
    {
      ...filesOf(options, settings),
      out,
      data: absolute('--data', options.data ?? '/var/lib/mosquitto'),
      certificates: listenAt('--listen', options.listen),
      passwords: listenAt('--password-listen', options.passwordListen),
      ...(options.crl === undefined ? {} : { crl: absolute('--crl', options.crl) }),
      runAs: options.runAs,
    },
    settings,
  );
  say(await writeConfig(files, owner), out);
  if (without.length > 0)
    console.error(
      `vs: mosquitto cannot check the passwords of ${without.join(', ')}, which are of an older vs-tools: vs user passwd NAME, then this again`,
    );
}

async function nats(options: Nats): Promise<void> {
  const { loadSettings } = await import('../../config/settings.ts');
  const { natsConfig } = await import('../../broker/external/nats.ts');
  const { writeConfig } = await import('../../broker/external/file.ts');
  const settings = loadSettings();
  const out = absolute('--out', options.out ?? `${settings.CONFIG_DIR}/nats`);
  const files = natsConfig(
    await usersOf(settings),
    {
      ...filesOf(options, settings),
      out,
      nodes: nodesOf(options.nodes),
      data: absolute('--data', options.data ?? '/var/lib/nats/NODE'),
      secret: await secretIn(`${out}/cluster.secret`),
    },
    settings,
  );
  say(await writeConfig(files, await ownerOf(options.runAs)), out);
}

const withFiles = (verb: Command, user: string) =>
  verb
    .option('--out <directory>', 'where the files go; CONFIG_DIR/mosquitto or CONFIG_DIR/nats unless given')
    .option('--data <directory>', 'where the broker keeps its messages')
    .option('--cert <file>', 'its certificate (PEM); TLS_DIR/host.pem unless given')
    .option('--key <file>', 'its key; TLS_DIR/host.key unless given')
    .option('--ca <file>', 'the authority of the pool; TLS_DIR/ca.pem unless given')
    .option('--run-as <user>', 'the user of this system that it runs as, who gets the files', user);

/** `vs broker config`: an external broker, set up for the pool; on the master, as root. */
export function register(program: Command): void {
  const broker = program
    .command('broker')
    .description('set up an external broker (on the master)')
    .addHelpText('after', '\nExamples:\n  vs broker config mosquitto');
  const config = broker
    .command('config')
    .description(
      'write the configuration of a broker for the users of this pool; again after each change of users',
    )
    .addHelpText(
      'after',
      '\nExamples:\n  vs broker config mosquitto\n  vs broker config nats --nodes n1=10.0.0.1,n2=10.0.0.2,n3=10.0.0.3',
    );
  withFiles(config.command('mosquitto').description('mosquitto 2.0: one node'), 'mosquitto')
    .option('--listen <address>', 'for clients with a certificate', '8883')
    .option('--password-listen <address>', 'for clients with a password', '8884')
    .option('--crl <file>', 'PEM file of revoked certificates')
    .addHelpText(
      'after',
      '\nExamples:\n  vs broker config mosquitto --cert /etc/mosquitto/certs/host.pem --key /etc/mosquitto/certs/host.key' +
        '\n  systemctl reload mosquitto    # after it was written again',
    )
    .action(mosquitto);
  withFiles(
    config.command('nats').description('NATS with JetStream: a cluster of three; clients have certificates'),
    'nats',
  )
    .requiredOption('--nodes <nodes>', 'NAME=ADDRESS[:PORT[:ROUTE-PORT]] of each, with commas between')
    .addHelpText(
      'after',
      '\nExamples:\n  vs broker config nats --nodes n1=10.0.0.1,n2=10.0.0.2,n3=10.0.0.3' +
        '\n  scp -r /etc/vs-tools/nats/n1 n1:/etc/nats    # each node its folder; then nats-server --signal reload',
    )
    .action(nats);
}
