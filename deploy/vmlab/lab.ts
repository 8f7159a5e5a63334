import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { VsError } from '../../shared/errors.ts';
import type { RunResult } from '../../shared/run.ts';
import { type Accelerator, accelerator } from './accelerator.ts';
import { launch, makeDisks, makeKeys, said, waitForMark } from './begin.ts';
import { cacheDirectory, cached } from './cache.ts';
import { closeRun, openRun, sweepRuns } from './directory.ts';
import { type Frame, readPcap } from './frames.ts';
import { makeImage } from './image.ts';
import { makeLayer } from './layer.ts';
import { freePort, qemuCommand } from './machine.ts';
import { makeMirrorDisk } from './mirror.ts';
import { type Machine, machines } from './model.ts';
import { qmp } from './qmp.ts';
import { type Suite, bareRecipeOf, keyOf, recipeOf } from './recipe.ts';
import { writeSeed } from './seed.ts';
import { type Way, hangUp, shell } from './ssh.ts';
import { type Base, stateOf } from './state.ts';
import { ready } from './units.ts';

/** A pool of VMs that are up. */
export interface VmLab {
  directory: string;
  machines: Machine[];
  /** Runs a script of sh in a VM. */
  on: (name: string, script: string, more?: Parameters<typeof shell>[2]) => Promise<RunResult>;
  /** Boots a VM anew, in order, and waits until one can come in. */
  reboot: (name: string) => Promise<void>;
  /** Takes the power from a VM and gives it back, and waits until one can come in. */
  cut: (name: string) => Promise<void>;
  /** Frames that a port of the trunk (host1, host2, router, client) sent since a time. */
  sent: (port: string, since: number) => Promise<Frame[]>;
  monitor: (name: string, command: string, args?: Record<string, unknown>) => Promise<unknown>;
  down: () => Promise<void>;
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

export interface UpOptions {
  suite?: Suite;
  hosts?: number;
  /** Packages of Debian that the VMs have besides those of the recipe: they get an image of their own. */
  packages?: string[];
  /** Bare machines: these packages of vs-tools lie on them, and a mirror of what they depend on. */
  bare?: string[];
  say?: (text: string) => void;
}

/** The image of a suite, from the cache or made now. */
export async function image(
  suite: Suite,
  say: (text: string) => void,
  { packages = [], bare }: Pick<UpOptions, 'packages' | 'bare'> = {},
): Promise<string> {
  const mirror = process.env['VS_TEMPLATE_MIRROR'] ?? '';
  const recipe = bare ? bareRecipeOf(suite, mirror) : recipeOf(suite, mirror, packages);
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
  packages = [],
  bare,
  say = () => undefined,
}: UpOptions = {}): Promise<VmLab> {
  for (const dead of await sweepRuns()) say(`removed ${dead}, which a dead run left`);
  const boot = await image(suite, say, bare ? { bare } : { packages });
  const means = await accelerator(boot);
  const base: Base = means === 'kvm' ? { disk: join(boot, 'disk.qcow2') } : await stateOf(boot, say);
  say(means === 'kvm' ? 'the processor itself runs the VMs (KVM)' : 'QEMU emulates the processor');
  const directory = await openRun();
  try {
    const layer = join(directory, 'layer.ext4');
    await (bare ? makeMirrorDisk(boot, bare, layer) : makeLayer(layer));
    say(bare ? 'packed the mirror' : 'packed the project');
    const all = machines(hosts).map((one) => (bare ? { ...one, bare: suite } : one));
    return await bring({ directory, boot, base, means, layer }, all, say);
  } catch (error) {
    if (process.env['VS_VM_KEEP'] !== '1') await closeRun(directory);
    throw error;
  }
}

interface Run {
  directory: string;
  boot: string;
  base: Base;
  means: Accelerator;
  layer: string;
}

async function bring(
  { directory, boot, base, means, layer }: Run,
  all: Machine[],
  say: (text: string) => void,
): Promise<VmLab> {
  const keys = await makeKeys(directory);
  await startWires(directory, all);
  const ways = new Map<string, Way>();
  for (const [at, machine] of all.entries()) {
    const { name } = machine;
    const disks = await makeDisks(directory, name, base.disk, layer);
    await writeSeed(machine, all, keys, disks.seed);
    const port = await freePort();
    ways.set(name, { name, directory, port });
    const command = qemuCommand(machine, {
      directory,
      boot,
      disks,
      ssh: port,
      number: at + 1,
      machineId: randomBytes(16).toString('hex'),
      accelerator: means,
      state: base.state,
    });
    await launch(directory, name, command);
  }
  say(`started ${all.map((one) => one.name).join(', ')}`);
  await Promise.all(
    [...ways.values()].map(async (way) => {
      if (base.state) await goOn(way);
      await comeIn(way, 0);
      say(`${way.name} answers`);
    }),
  );
  await writeFile(join(directory, 'ways.json'), JSON.stringify([...ways.values()]));
  return labOf(directory, all, ways);
}

/** Waits until a VM has come up once more than `before`, and one can come in. */
async function comeIn(way: Way, before: number): Promise<void> {
  await waitForMark(way, ready, before, 900_000);
  await shell(way, 'true', { timeoutMs: 300_000 });
}

/** Lets a VM run on from the state that it was given. */
async function goOn({ directory, name }: Way): Promise<void> {
  const socket = join(directory, `${name}.qmp`);
  for (let tries = 0; ; tries++)
    try {
      const { status } = (await qmp(socket, 'query-status')) as { status: string };
      if (status === 'paused') return void (await qmp(socket, 'cont'));
      throw new VsError('failed', `the VM ${name} is ${status}, and not yet where its state was`);
    } catch (error) {
      if (tries > 600) throw error;
      await sleep(200);
    }
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
      const before = await said(way.directory, way.name, ready);
      await shell(way, 'systemctl reboot', { ok: [0, 255] });
      await hangUp(way);
      await comeIn(way, before);
    },
    async cut(name) {
      const way = wayOf(name);
      const before = await said(way.directory, way.name, ready);
      await qmp(join(directory, `${name}.qmp`), 'system_reset');
      await hangUp(way).catch(() => undefined);
      await comeIn(way, before);
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
