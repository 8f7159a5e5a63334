import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { open, readFile, rm, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { VsError } from '../../shared/errors.ts';
import { run } from '../../shared/run.ts';
import { clockLibrary, writeClock } from './clock.ts';
import { makeDisk, servicesOf, writeFiles } from './files.ts';
import { type Lab, type LabNode, namespace, namespaceFile, paths } from './model.ts';
import { initOf, killAll, removeCgroups } from './processes.ts';
import { speedUp } from './slow.ts';
import { removeNamespace, wireNode } from './wires.ts';

const initScript = new URL('./init.pl', import.meta.url).pathname;

/** The table from which init.pl works: tab-separated words, one thing a line. */
function specification(lab: Lab, node: LabNode): string {
  const at = paths(lab.name);
  const lines: string[][] = [
    ['node', node.name],
    ['data', at.node(node.name)],
    ['run', at.run],
    ['cgroup', namespace(lab.name, node.name)],
    ['netns', namespaceFile(lab.name, node.name)],
  ];
  if (node.role === 'master') lines.push(['listen', `127.0.0.1:${lab.port}`]);
  if (lab.clocks) lines.push(['clock', clockLibrary()]);
  for (const [name, argv] of Object.entries(servicesOf(lab, node))) {
    lines.push(['service', name, `/run/vslab-node/data/log/${name}.log`, ...argv]);
  }
  return lines.map((words) => `${words.join('\t')}\n`).join('');
}

/** Waits until the disk of a dead node is let go of: its mounts go with its last process, a moment later. */
async function diskFree(lab: Lab, node: string): Promise<void> {
  const image = `${paths(lab.name).node(node)}/disk.img`;
  if (!existsSync(image)) return;
  const until = Date.now() + 20_000;
  for (;;) {
    const { stdout } = await run(['losetup', '-n', '-O', 'NAME', '-j', image]);
    if (stdout.trim() === '') return;
    if (Date.now() > until) {
      throw new VsError(
        'failed',
        `The disk of ${node} is still in use (${stdout.trim()}), although no process of the node is left.`,
      );
    }
    await sleep(50);
  }
}

/** A power cut: every process by SIGKILL, then what belonged to the running node; its disk stays. */
export async function killNode(lab: Lab, node: LabNode): Promise<void> {
  const at = paths(lab.name);
  const left = await killAll(lab.name, node.name);
  if (left.length > 0) {
    throw new VsError('failed', `Processes of ${node.name} do not end even by SIGKILL: ${left.join(', ')}.`);
  }
  await removeNamespace(namespace(lab.name, node.name));
  await speedUp(lab, node);
  await diskFree(lab, node.name);
  await removeCgroups(lab.name, node.name);
  for (const end of ['pid', 'services', 'ready', 'spec', 'log', 'clock'])
    await rm(`${at.run}/${node.name}.${end}`, { force: true });
  if (node.role === 'master') await rm(at.socket, { force: true });
}

/** Boots a node that is off; one that runs is left alone. */
export async function bootNode(lab: Lab, node: LabNode): Promise<void> {
  const at = paths(lab.name);
  const ready = `${at.run}/${node.name}.ready`;
  if ((await initOf(lab.name, node.name)) !== undefined && existsSync(ready)) return;
  await killNode(lab, node); // whatever an interrupted boot left
  await writeFiles(lab, node);
  if (node.role === 'host') await makeDisk(lab, node);
  await wireNode(lab, node);
  const spec = `${at.run}/${node.name}.spec`;
  await writeFile(spec, specification(lab, node));
  if (lab.clocks) await writeClock(lab, node, 0);
  const log = `${at.run}/${node.name}.log`;
  const output = await open(log, 'w');
  const argv = ['--mount', '--propagation', 'private', '--pid', '--uts', '--ipc', '--fork', '--'];
  const child = spawn('unshare', [...argv, 'perl', initScript, spec], {
    detached: true,
    cwd: '/',
    stdio: ['ignore', output.fd, output.fd],
    env: { NODE_COMPILE_CACHE: '/var/cache/vs-tools/node', ...process.env }, // as ./vs has it: half the start of a service
  });
  let ended = false;
  child.once('error', () => (ended = true));
  child.once('exit', () => (ended = true));
  child.unref();
  await output.close();
  const until = Date.now() + 30_000;
  while (!existsSync(ready)) {
    if (ended || Date.now() > until) {
      const why = (await readFile(log, 'utf8').catch(() => '')).trim().split('\n').slice(-3).join(' ');
      await killNode(lab, node);
      throw new VsError(
        'failed',
        `${node.name} of lab ${lab.name} did not boot: ${why || 'no reason given'}.`,
      );
    }
    await sleep(20);
  }
}
