import { writeFile } from 'node:fs/promises';
import { say, withLab } from './kit.ts';
import { lxd, lxdPeer } from './lxd.ts';
import { type Source, type Way, fits, isOurs, isPeer } from './move-names.ts';
import { type Stage, hosts, mine, other, plain, setTheStage } from './move-stage.ts';
import { waysOf } from './move-ways.ts';
import { type About, type Results, type SetName, type Storage, summary, tableOf } from './report.ts';
import { plotOf } from './plot.ts';

export interface MoveOptions {
  lab: string;
  rounds: number;
  json: boolean;
  signal: AbortSignal;
  source: Source;
  storage: readonly Storage[];
  sets: readonly SetName[];
  /** Only these; all that fit the storage unless told. */
  ways: readonly Way[];
  /** A file to plot to. */
  svg: string | undefined;
}

/** Whom a way moves. */
const containerOf = (way: Way) => (isOurs(way) ? mine : isPeer(way) ? lxd : plain);

/** Each way once, from the host where its container is to the other. */
async function oneRound(stage: Stage, ways: readonly Way[], results: Results[string]): Promise<void> {
  for (const way of ways) {
    const from = stage.at[containerOf(way).name] ?? hosts[0];
    const to = other(from);
    // what one way left to be written, and to be cleared away of deleted subvolumes, must not fall into the other's time
    await Promise.all(hosts.map((host) => stage.on[host].run('settled', 900_000)));
    const figures = await waysOf[way](stage, from, to);
    (results[way] ??= []).push(figures);
    say(
      `  ${way}: down ${figures.downtimeMs} ms, ping ${figures.pingMs} ms, total ${figures.totalMs} ms ${JSON.stringify(figures.steps)}`,
    );
  }
}

/** `bench move`: a vserver moved by vs, and a plain container by scripts, in turn in one lab (and one of LXD by LXD); the exit code. */
export async function benchMove(options: MoveOptions): Promise<number> {
  const results: Results = {};
  const lxdHere = options.ways.some(isPeer) ? await lxdPeer(options.signal) : undefined;
  for (const storage of options.storage)
    for (const set of options.sets)
      await withLab(options.lab, storage, options.signal, async (lab) => {
        const stage = await setTheStage(lab, options.source, set, lxdHere?.on(storage));
        const ways = options.ways.filter((way) => fits(way, storage));
        const here = (results[`${storage} ${set}`] = {});
        for (let round = 0; round < options.rounds; round++) {
          say(`${storage}, set ${set}, round ${round + 1}`);
          await oneRound(stage, round % 2 === 0 ? ways : ways.toReversed(), here);
        }
        for (const shell of [stage.prober, ...Object.values(stage.on)]) shell.close();
      });
  const medians = summary(results);
  const about: About = {
    source: options.source,
    rounds: options.rounds,
    ...(lxdHere ? { peer: `LXD ${lxdHere.version}` } : {}),
  };
  if (options.svg) await writeFile(options.svg, plotOf(about, medians));
  if (options.json) console.log(JSON.stringify({ ...about, medians, results }, null, 1));
  else console.log(tableOf(about, medians));
  return 0;
}
