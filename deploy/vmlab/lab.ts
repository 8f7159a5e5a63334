import { randomBytes } from 'node:crypto';
import { readFile, truncate, writeFile } from 'node:fs/promises';
import { existsSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { VsError } from '../../shared/errors.ts';
import { type RunResult, run, start } from '../../shared/run.ts';
import { cacheDirectory, cached } from './cache.ts';
import { closeRun, openRun, sweepRuns } from './directory.ts';
import { type Frame, readPcap } from './frames.ts';
import { makeImage } from './image.ts';
import { makeLayer } from './layer.ts';
import { freePort, qemuCommand } from './machine.ts';
import { type Machine, machines } from './model.ts';
import { qmp } from './qmp.ts';
import { type Suite, keyOf, recipeOf } from './recipe.ts';
import { ready } from './units.ts';
import { writeSeed } from './seed.ts';
import { type Way, hangUp, shell } from './ssh.ts';

const GiB = 1024 ** 3;

/** A pool of VMs that are up. */
export interface VmLab {
  directory: string;
  machines: Machine[];
  /** Runs a script of sh in a VM. */
  on: (name: string, script: string, more?: Parameters<typeof shell>[2]) => Promise<RunResult>;
  /** Boots a VM anew, in order, and waits until one can come in. */
  reboot: (name: string) => Promise<void>;
  /** Frames that a port of the trunk (host1, host2, router, client) sent since a time. */
  sent: (port: string, since: number) => Promise<Frame[]>;
  monitor: (name: string, command: string, args?: Record<string, unknown>) => Promise<unknown>;
  down: () => Promise<void>;
}

/** How many times a VM has come up: so many marks stand on its console. */
async function boots({ directory, name }: Way): Promise<number> {
  const text = await readFile(join(directory, `${name}.console`), 'utf8').catch(() => '');
  return text.split(ready).length - 1;
}

async function makeKeys(directory: string) {
  for (const name of ['key', 'host_key'])
    await run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'vslab', '-f', join(directory, name)]);
  const read = (name: string) => readFile(join(directory, name), 'utf8');
  const hostPublic = await read('host_key.pub');
  await writeFile(join(directory, 'known_hosts'), `vslab-vm ${hostPublic}`);
  return { authorized: await read('key.pub'), host: await read('host_key'), hostPublic };
}

/** Starts a process of the run that goes on by itself; its pid file lies in the directory. */
async function launch(directory: string, name: string, argv: string[]): Promise<void> {
  const log = openSync(join(directory, `${name}.log`), 'a', 0o600);
  const child = start(argv, { stdio: ['ignore', log, log] });
  child.on('error', () => undefined);
  child.unref();
  await writeFile(join(directory, `${name}.pid`), `${child.pid ?? 0}\n`);
}

async function startWires(directory: string, all: Machine[]): Promise<void> {
  const ports = all.flatMap((one) =>
    one.cards.map(({ wire, port }) => `${wire}:${port}${wire === 'trunk' ? ':tap' : ''}`),
  );
  const program = new URL('wire.ts', import.meta.url).pathname;
  await launch(directory, 'wire', [process.execPath, program, directory, ...ports]);
  for (let tries = 0; !(await readFile(join(directory, 'wire.log'), 'utf8')).includes('ready'); tries++) {
    if (tries > 600) throw new VsError('failed', 'the wires of the VMs did not start within 60 s');
    await sleep(100);
  }
}

async function makeDisks(directory: string, boot: string, machine: Machine): Promise<void> {
  const at = (end: string) => join(directory, `${machine.name}.${end}`);
  await run([
    'qemu-img',
    'create',
    '-q',
    '-f',
    'qcow2',
    '-F',
    'qcow2',
    '-b',
    `${boot}/disk.qcow2`,
    at('qcow2'),
  ]);
  if (machine.role !== 'host') return;
  await writeFile(at('vservers'), '');
  await truncate(at('vservers'), 2 * GiB);
  await run(['mkfs.ext4', '-q', '-F', '-O', 'project,quota', '-m', '0', at('vservers')]);
}

const lives = async ({ directory, name }: Way): Promise<boolean> => {
  const pid = await readFile(join(directory, `${name}.pid`), 'utf8');
  return existsSync(`/proc/${pid.trim()}/exe`);
};

/** Waits until a VM has come up once more than `before`, and one can come in. */
async function waitFor(way: Way, before: number, within: number): Promise<void> {
  const end = Date.now() + within;
  while ((await boots(way)) <= before) {
    if (!(await lives(way))) {
      const log = await readFile(join(way.directory, `${way.name}.log`), 'utf8');
      throw new VsError('failed', `QEMU of the VM ${way.name} has ended: ${log.slice(-600)}`);
    }
    if (Date.now() > end) {
      const said = await readFile(join(way.directory, `${way.name}.console`), 'utf8').catch(() => '');
      throw new VsError(
        'unavailable',
        `the VM ${way.name} did not come up within ${within / 1000} s; the end of its console: ${said.slice(-600)}`,
      );
    }
    await sleep(300);
  }
  await shell(way, 'true', { timeoutMs: 60_000 });
}

export interface UpOptions {
  suite?: Suite;
  hosts?: number;
  say?: (text: string) => void;
}

/** The image of a suite, from the cache or made now. */
export async function image(suite: Suite, say: (text: string) => void): Promise<string> {
  const recipe = recipeOf(suite, process.env['VS_TEMPLATE_MIRROR'] ?? '');
  const { directory, made } = await cached(cacheDirectory(), keyOf(recipe), (to) =>
    makeImage(recipe, to, say),
  );
  say(made ? `image: made in ${directory}` : `image: ${directory} from the cache`);
  return directory;
}

/** Brings master and hosts up: images, wires, VMs; when it answers one can come into all of them. */
export async function up({
  suite = 'trixie',
  hosts = 2,
  say = () => undefined,
}: UpOptions = {}): Promise<VmLab> {
  for (const dead of await sweepRuns()) say(`removed ${dead}, which a dead run left`);
  const boot = await image(suite, say);
  const directory = await openRun();
  try {
    return await bring(directory, boot, machines(hosts), say);
  } catch (error) {
    if (process.env['VS_VM_KEEP'] !== '1') await closeRun(directory);
    throw error;
  }
}

async function bring(
  directory: string,
  boot: string,
  all: Machine[],
  say: (text: string) => void,
): Promise<VmLab> {
  const keys = await makeKeys(directory);
  const layer = join(directory, 'project.ext4');
  await makeLayer(layer);
  say('packed the project');
  await startWires(directory, all);
  const ways = new Map<string, Way>();
  for (const [at, machine] of all.entries()) {
    const { name } = machine;
    await makeDisks(directory, boot, machine);
    const seed = join(directory, `${name}.tar`);
    await writeSeed(machine, all, keys, seed);
    const port = await freePort();
    ways.set(name, { name, directory, port });
    const vservers = machine.role === 'host' ? join(directory, `${name}.vservers`) : undefined;
    const disks = { root: join(directory, `${name}.qcow2`), seed, layer, vservers };
    const machineId = randomBytes(16).toString('hex');
    await launch(
      directory,
      name,
      qemuCommand(machine, { directory, boot, disks, ssh: port, number: at + 1, machineId }),
    );
  }
  say(`started ${all.map((one) => one.name).join(', ')}`);
  await Promise.all(
    [...ways.values()].map(async (way) => {
      await waitFor(way, 0, 600_000);
      say(`${way.name} answers`);
    }),
  );
  await writeFile(join(directory, 'ways.json'), JSON.stringify([...ways.values()]));
  return labOf(directory, all, ways);
}

/** The lab of a run that was kept: its VMs are up. */
export async function attach(directory: string): Promise<VmLab> {
  const all = JSON.parse(await readFile(join(directory, 'ways.json'), 'utf8')) as Way[];
  return labOf(directory, machines(all.length - 1), new Map(all.map((way) => [way.name, way])));
}

function labOf(directory: string, all: Machine[], ways: Map<string, Way>): VmLab {
  const wayOf = (name: string): Way => {
    const way = ways.get(name);
    if (!way) throw new VsError('not-found', `the lab has no VM ${name}`);
    return way;
  };
  return {
    directory,
    machines: all,
    on: (name, script, more) => shell(wayOf(name), script, more),
    async reboot(name) {
      const way = wayOf(name);
      const before = await boots(way);
      await shell(way, 'systemctl reboot', { ok: [0, 255] });
      await hangUp(way);
      await waitFor(way, before, 600_000);
    },
    async sent(port, since) {
      const file = await readFile(join(directory, `trunk-${port}.pcap`));
      return readPcap(file, port).filter((frame) => frame.at >= since);
    },
    monitor: (name, command, args) => qmp(join(directory, `${name}.qmp`), command, args),
    async down() {
      for (const way of ways.values()) await hangUp(way).catch(() => undefined);
      await closeRun(directory);
    },
  };
}
