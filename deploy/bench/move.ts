import { readFile } from 'node:fs/promises';
import type { SagaState } from '../../shared/contract/saga.ts';
import { type BenchLab, say, withLab } from './kit.ts';
import { type Round, type Storage, summary, tableOf } from './report.ts';
import { awaitAnswer, probed } from './prober.ts';
import { type Shell, openShell } from './shell.ts';

export const sources = ['busybox', 'bookworm', 'trixie'] as const;
const hosts = ['host1', 'host2'] as const;
type Host = (typeof hosts)[number];
const management: Record<Host, string> = { host1: '10.98.0.11', host2: '10.98.0.12' };
const mine = { name: 'web1', address: '10.60.10.5' };
/** In another network, so that vs does not take its bridge down when the vserver leaves. */
const plain = { name: 'plain1', address: '10.60.20.5', network: 'green' };

interface Options {
  lab: string;
  rounds: number;
  json: boolean;
  signal: AbortSignal;
  source: (typeof sources)[number];
  storage: readonly Storage[];
}
interface Stage {
  lab: BenchLab;
  prober: Shell;
  on: Record<Host, Shell>;
}

/** The vserver, and a plain container of the same kind of tree, both running on host1. */
async function setTheStage(lab: BenchLab, source: Options['source']): Promise<Stage> {
  const here = (file: string) => new URL(file, import.meta.url).pathname;
  const before = `ROOT='${here('../..')}'\n. "$ROOT/deploy/bench/plain.sh"`;
  const [host1, host2, prober] = await Promise.all([
    openShell(lab, 'host1', before),
    openShell(lab, 'host2', before),
    openShell(lab, 'prober'),
  ]);
  const on = { host1, host2 };
  if (source !== 'busybox') {
    say(`${source}: building the template, unless it is there`);
    await lab.vs(['template', 'build', source], 900_000);
  }
  for (const one of [mine, plain]) {
    await lab.vs(['create', one.name, one.address, source, '--host', 'host1', '--start'], 300_000);
    if (source !== 'busybox') {
      const service = await readFile(here('../hello.sh'), 'utf8');
      await lab.vs(['exec', one.name, '--', 'sh', '-c', service]);
    }
    await awaitAnswer(prober, one.address);
  }
  const config = await host1.run(`plain_config ${plain.name}`);
  await lab.vs(['stop', plain.name]);
  await host1.run(`plain_adopt ${plain.name}`);
  await lab.vs(['remove', plain.name, '--yes']);
  for (const [host, from] of [hosts, hosts.toReversed()] as const) {
    await lab.vs(['call', host, 'network.up', JSON.stringify({ network: plain.network })]);
    const words = `${plain.name} ${management[from]} ${management[host]}`;
    await on[host].run(`plain_host ${words} <<'END'\n${config}\nEND`);
  }
  await host1.run(`plain_start ${plain.name}`);
  return { lab, prober, on };
}

async function moveMine({ lab, prober }: Stage, to: Host): Promise<Round['vs']> {
  const { value, ...times } = await probed(lab, prober, mine.address, () =>
    lab.vs(['move', mine.name, to, '--json'], 600_000),
  );
  const saga = JSON.parse(value) as SagaState;
  const down = saga.steps.filter((step) => step.downtime).map((step) => [step.step, step.ms ?? NaN]);
  return {
    ...times,
    bytes: saga.bytes ?? NaN,
    steps: Object.fromEntries(down) as Record<string, number>,
    sagaDowntimeMs: saga.downtimeMs ?? NaN,
    transport: saga.title.split(', ').at(-1) ?? '',
  };
}

async function movePlain({ lab, prober, on }: Stage, from: Host, to: Host): Promise<Round['plain']> {
  const steps: Record<string, number> = {};
  const timed = async (step: string, shell: Shell, line: string) => {
    const begun = performance.now();
    const output = await shell.run(line);
    steps[step] = Math.round(performance.now() - begun);
    return Number(output);
  };
  const { value, ...times } = await probed(lab, prober, plain.address, async () => {
    const seed = Number(await on[from].run(`plain_copy ${management[to]} live`));
    await timed('stop', on[from], `plain_stop ${plain.name}`);
    const final = await timed('final', on[from], `plain_copy ${management[to]}`);
    await timed('start', on[to], `plain_start ${plain.name}`);
    return seed + final;
  });
  await on[from].run('plain_forget');
  return { ...times, bytes: value, steps };
}

async function benchOn(storage: Storage, options: Options): Promise<Round[]> {
  return withLab(options.lab, storage, options.signal, async (lab) => {
    const stage = await setTheStage(lab, options.source);
    const rounds: Round[] = [];
    for (let round = 0; round < options.rounds; round++) {
      const [from, to] = round % 2 === 0 ? hosts : (hosts.toReversed() as [Host, Host]);
      const both = {} as Round;
      const ways = [
        async () => void (both.vs = await moveMine(stage, to)),
        async () => void (both.plain = await movePlain(stage, from, to)),
      ];
      for (const way of round % 2 === 0 ? ways : ways.toReversed()) {
        // what one way left to be written must not fall into the other's time
        await stage.on[to].run('sync -f /var/lib/vservers');
        await way();
      }
      rounds.push(both);
      say(
        `${storage} round ${round + 1}: vs down ${both.vs.downtimeMs} ms, plain down ${both.plain.downtimeMs} ms`,
      );
    }
    for (const shell of [stage.prober, ...Object.values(stage.on)]) shell.close();
    return rounds;
  });
}

/** `bench move`: a vserver moved by vs, and a plain container by a script, in turn in one lab; the exit code. */
export async function benchMove(options: Options): Promise<number> {
  const results: Record<string, ReturnType<typeof summary>> = {};
  for (const storage of options.storage) results[storage] = summary(await benchOn(storage, options));
  if (options.json)
    console.log(JSON.stringify({ source: options.source, rounds: options.rounds, storage: results }));
  else console.log(tableOf(options.source, options.rounds, results));
  return 0;
}
