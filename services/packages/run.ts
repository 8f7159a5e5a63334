import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { StringDecoder } from 'node:string_decoder';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Args, Data } from '../../shared/contract/commands.ts';
import { VsError } from '../../shared/errors.ts';
import { pathsFor } from '../../shared/paths.ts';
import type { Call, Context } from '../../shared/service.ts';
import { apk } from './apk.ts';
import { apt } from './apt.ts';
import { dnf } from './dnf.ts';
import type { Manager } from './manager.ts';
import { findMirrors, resolversOf } from './mirrors.ts';

export const managers: Manager[] = [apt, dnf, apk];

/** What opens the firewall holds so long (s), and is renewed before (ms): after a crash the kernel closes it. */
const OPEN_SECONDS = 600;
const RENEW_MS = 200_000;
/** One command may take so long (ms); another one's lock is waited for so long unless told, and asked for so often. */
const COMMAND_MS = 3_600_000;
const WAIT_MS = 600_000;
const AGAIN_MS = 2000;
/** So much of an output is kept to be understood; an answer is at most so long (the broker's packets end at 1 MB). */
const MOST_OUTPUT = 16e6;
const MOST_ANSWER = 800_000;

/** Which package manager a vserver has, by what lies in its tree. */
export async function managerOf(context: Context, name: string): Promise<Manager> {
  const rootfs = pathsFor(context.settings).rootfs(name);
  for (const manager of managers)
    if (await lstat(join(rootfs, manager.program)).catch(() => undefined)) return manager;
  throw new VsError(
    'refused',
    `${name} has no package manager that vs knows (${managers.map((one) => one.name).join(', ')})`,
  );
}

/** Lines as they become whole. */
function byLine(say: (line: string) => void) {
  let rest = '';
  return (text: string) => {
    const parts = `${rest}${text}`.split('\n');
    rest = (parts.pop() ?? '').slice(-4000);
    for (const line of parts) if (line.trim() !== '') say(line.slice(0, 1000));
  };
}

async function inside(
  { bus, host }: Context,
  name: string,
  command: string[],
  call: Pick<Call, 'signal'>,
  say: (line: string) => void,
): Promise<{ code: number; output: string; errors: string }> {
  const kept = { stdout: '', stderr: '' };
  const told = { stdout: byLine(say), stderr: byLine(say) };
  const decoders = { stdout: new StringDecoder('utf8'), stderr: new StringDecoder('utf8') };
  const { code } = await bus.request(
    host,
    'host-agent.exec',
    { name, command, timeout: COMMAND_MS },
    {
      timeoutMs: COMMAND_MS + 10_000,
      signal: call.signal,
      onProgress: ({ stream, data }) => {
        if (typeof data !== 'string' || (stream !== 'stdout' && stream !== 'stderr')) return;
        const text = decoders[stream].write(Buffer.from(data, 'base64')); // a character may come in two pieces
        if (kept[stream].length < MOST_OUTPUT) kept[stream] += text;
        told[stream](text);
      },
    },
  );
  return { code, output: kept.stdout, errors: kept.stderr };
}

/** Runs one command; while another package manager holds the lock it waits, and says so once. */
async function patiently(
  context: Context,
  manager: Manager,
  { name, wait = WAIT_MS }: Args<'packages.run'>,
  command: string[],
  call: Pick<Call, 'signal'>,
  say: (line: string) => void,
): Promise<string> {
  const end = performance.now() + wait;
  for (let told = ''; ;) {
    const { code, output, errors } = await inside(context, name, command, call, say);
    if (code === 0) return output;
    const by = manager.lockedBy(`${output}\n${errors}`);
    const reason =
      errors
        .trim()
        .split('\n')
        .filter((line) => !line.startsWith('WARNING'))
        .slice(-3)
        .join(' ') ||
      output.trim().split('\n').at(-1) ||
      '';
    if (by === undefined)
      throw new VsError('failed', `${manager.name} in ${name} ended with ${code}: ${reason.slice(0, 500)}`);
    if (performance.now() + AGAIN_MS > end)
      throw new VsError(
        'conflict',
        `${by} in ${name} holds the lock of ${manager.name} for longer than ${Math.round(wait / 1000)} s`,
        {
          retryable: true,
        },
      );
    if (told !== by) say(`waits: ${by} holds the lock of ${manager.name}`);
    told = by;
    await sleep(AGAIN_MS, undefined, { signal: call.signal }).catch(() => {
      throw new VsError('failed', `the wait for the lock of ${manager.name} in ${name} was given up`);
    });
  }
}

/** Opens the firewall to the mirrors while `work` runs. */
async function whileOpen<T>(
  context: Context,
  name: string,
  nameserver: string | undefined,
  say: (line: string) => void,
  work: () => Promise<T>,
): Promise<T> {
  const { bus, host, settings, log } = context;
  const { to, unknown } = await findMirrors(settings.PACKAGE_MIRRORS);
  const resolvers = resolversOf(nameserver);
  const open = () => bus.request(host, 'firewall.open', { name, to, resolvers, seconds: OPEN_SECONDS });
  const first = await open();
  if (first.open && to.length === 0)
    say(
      `none of PACKAGE_MIRRORS is known to ${host} (${unknown.join(', ')}), so its firewall opens to nobody`,
    );
  const again = setInterval(
    () =>
      void open().catch((error: unknown) => log.warn({ vserver: name, error: String(error) }, 'firewall')),
    RENEW_MS,
  );
  try {
    return await work();
  } finally {
    clearInterval(again);
    await bus
      .request(host, 'firewall.close', { name })
      .catch((error: unknown) =>
        log.warn({ vserver: name, error: String(error) }, 'the firewall closes by itself in some minutes'),
      );
  }
}

const needsWords = new Set(['install', 'remove', 'search', 'show']);
const takesWords = new Set([...needsWords, 'list', 'upgrade']);

/** Asks the package manager of a vserver that runs. */
export async function runPackages(
  context: Context,
  args: Args<'packages.run'>,
  call: Pick<Call, 'signal' | 'progress'>,
): Promise<Data<'packages.run'>> {
  const { name, action, packages = [] } = args;
  if (needsWords.has(action) && packages.length === 0)
    throw new VsError('usage', `${action} needs a package`);
  if (!takesWords.has(action) && packages.length > 0)
    throw new VsError('usage', `${action} is about all packages; leave ${packages.join(' ')} out`);
  const { state, config } = await context.bus.request(context.host, 'host-agent.show', { name });
  if (state.state !== 'running')
    throw new VsError(
      'refused',
      `${name} is ${state.state}; packages are looked after while it runs: vs start ${name}`,
    );
  const manager = await managerOf(context, name);
  const say = (text: string) => call.progress({ text });
  const quiet = () => undefined;
  const loud = manager.downloads.has(action) || action === 'remove' || action === 'clean';
  const work = () =>
    patiently(context, manager, args, manager.command(action, packages), call, loud ? say : quiet);
  let nameserver = config.nameserver;
  if (nameserver === undefined && manager.downloads.has(action))
    nameserver = (await context.bus.request(context.host, 'network.show', { network: config.network }))
      .network.nameserver;
  let output: string;
  try {
    output = manager.downloads.has(action)
      ? await whileOpen(context, name, nameserver, say, work)
      : await work();
  } finally {
    // what was downloaded is not needed twice, also when it could not be installed; the vserver may be gone by now
    if (manager.downloads.has(action) && action !== 'update')
      await inside(context, name, manager.command('clean', []), call, quiet).catch((error: unknown) =>
        context.log.warn({ vserver: name, error: String(error) }, 'downloads were not removed'),
      );
  }
  if (action === 'show') return { manager: manager.name, text: bounded(output) };
  if (loud) return { manager: manager.name, changed: manager.changed(output) };
  const found = manager.parse(action, output);
  if (JSON.stringify(found).length > MOST_ANSWER)
    throw new VsError('failed', `${found.length} packages of ${name} do not fit into an answer; name some`);
  return { manager: manager.name, packages: found };
}

const bounded = (text: string) => (text.length > MOST_ANSWER ? text.slice(0, MOST_ANSWER) : text);
