import { readFile, readdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../../shared/run.ts';
import { hearing } from '../lab/lab.ts';
import { paths } from '../lab/model.ts';
import { sagas } from './sagas.ts';
import type { Parts, Wanted } from './spec.ts';
import { type World, ask, hosts, leftovers, lost, ownersOf, web1 } from './world.ts';

/**
 * So long (ms) all may take to be as it must, once the saga has ended and what was broken is mended: what was cleared on the bus
 * while the orchestrator had lost the broker goes from its pool after 60 s (shared/heard.ts).
 */
const SETTLES_MS = 75_000;

/** What is wrong at the end, once it had time to settle: who owns, runs and answers, what is left, what is lost. */
export async function judge(
  world: World,
  saga: string,
  parts: Parts,
  result: 'done' | 'undone',
): Promise<string[]> {
  const wanted = sagas[saga]?.end(result, parts, world) ?? [];
  if (!wanted.some((one) => one.name === web1.name))
    wanted.push({ ...web1, place: ownersOf(world, web1.name)[0]?.host, runs: true });
  const until = Date.now() + SETTLES_MS;
  for (;;) {
    const wrong = await wrongNow(world, wanted, sagas[saga]?.copies?.(result) ?? {});
    if (wrong.length === 0) break;
    if (Date.now() > until) return wrong;
    await sleep(300);
  }
  const home = wanted.find((one) => one.name === web1.name)?.place;
  return home ? lost(world, home) : ['nobody owns web1'];
}

async function wrongNow(world: World, wanted: Wanted[], kept: Record<string, boolean>): Promise<string[]> {
  const wrong: string[] = [];
  const pool = await ask(world, 'master', 'orchestrator.scan', {}, 10_000).catch((error: unknown) => {
    wrong.push(`the pool cannot be asked: ${String(error)}`);
    return { rows: [], hosts: [] };
  });
  for (const { host, state } of pool.hosts) if (state !== 'online') wrong.push(`${host} is ${state}`);
  for (const { name, address, place, runs, old } of wanted) {
    const owners = ownersOf(world, name).map((one) => one.host);
    if (owners.join() !== (place ?? ''))
      wrong.push(`${name} is owned by ${owners.join(' and ') || 'nobody'}, not by ${place ?? 'nobody'}`);
    const on = world.watching.runsOn(name).join();
    const want = (runs && place) || '';
    if (on !== want) wrong.push(`${name} runs on ${on || 'no host'}, not on ${want || 'none'}`);
    if (want && name === web1.name && !world.watching.answers(address)) wrong.push(`${name} does not answer`);
    const told = pool.rows
      .filter((row) => row.vserver === name)
      .map((row) => `${row.host} ${row.state}${row.epoch === 0 ? ', not owned' : ''}`)
      .sort()
      .join(' and ');
    const state = [
      ...(place ? [`${place} ${runs ? 'running' : 'stopped'}`] : []),
      ...(old ? [`${old} stopped, not owned`] : []),
    ]
      .sort()
      .join(' and ');
    if (told !== state) wrong.push(`the pool says "${told}" of ${name}, not "${state}"`);
  }
  const { copies } = Object.keys(kept).length
    ? await ask(world, 'master', 'orchestrator.copies', {}, 10_000).catch(() => ({ copies: [] }))
    : { copies: [] };
  for (const [name, isKept] of Object.entries(kept))
    if (copies.some((copy) => copy.name === name) !== isKept)
      wrong.push(`the master has ${isKept ? 'no' : 'a'} copy of ${name}`);
  const left = await leftovers(world).catch((error: unknown) => [String(error)]);
  if (left.length > 0) wrong.push(`left behind: ${left.slice(0, 5).join(', ')}`);
  return wrong;
}

/** Does an alert of the saga stand? */
export async function alertOf(world: World, name: string): Promise<boolean> {
  const { options, env } = await hearing(world.lab, 'viewer');
  const argv = ['mosquitto_sub', ...options, '-t', `vs/1/master/alerts/${name}/saga`, '-C', '1', '-W', '5'];
  return (await run(argv, { okCodes: [0, 27], env })).stdout.trim() !== '';
}

/** The last lines of the logs of all nodes: services, and the runtime's own. */
export async function logs(world: World): Promise<string[]> {
  const found: string[] = [];
  for (const node of ['master', ...hosts])
    for (const part of ['log', 'state/log']) {
      const directory = `${paths(world.lab.name).node(node)}/${part}`;
      for (const file of await readdir(directory).catch(() => [] as string[])) {
        const text = await readFile(`${directory}/${file}`, 'utf8').catch(() => '');
        found.push(`== ${node} ${file}`, ...text.trimEnd().split('\n').slice(-25));
      }
    }
  return found;
}
