import { type BenchLab, median, run, say, vs, withLab } from './kit.ts';

const limitMs = 200;

export interface CliResult {
  unit: 'ms';
  rounds: number;
  limit: number;
  median: Record<string, number>;
  /** How many times an empty Node. */
  ratio: Record<string, number>;
}

/** Rounds in turn, so that a noisy moment of the machine meets all of them alike. */
async function measure(
  ways: Record<string, () => Promise<unknown>>,
  rounds: number,
): Promise<Record<string, number>> {
  const times: Record<string, number[]> = {};
  for (let round = 0; round <= rounds; round++) {
    for (const [name, way] of Object.entries(ways)) {
      const begun = performance.now();
      await way();
      if (round > 0) (times[name] ??= []).push(performance.now() - begun); // the first round warms up
    }
  }
  return Object.fromEntries(Object.entries(times).map(([name, all]) => [name, Math.round(median(all))]));
}

async function benchIn(lab: BenchLab, rounds: number): Promise<CliResult> {
  const { env, signal } = lab;
  for (const [index, host] of ['host1', 'host2'].entries())
    await lab.vs([
      'create',
      `web${index + 1}`,
      `10.60.10.${index + 5}`,
      'busybox',
      '--host',
      host,
      '--start',
    ]);
  const mqtt = (await lab.lab('mqtt', 'viewer')).trim().split(/\s+/);
  const result = await measure(
    {
      'empty node': () => run([process.execPath, '-e', '0'], { signal }),
      'mosquitto_sub -C 1': () =>
        run(['mosquitto_sub', ...mqtt, '-t', 'vs/1/hosts/+/status', '-C', '1', '-W', '5'], { signal }),
      'vs scan': () => run([vs, 'scan'], { env, signal }),
      'vs scan --json': () => run([vs, 'scan', '--json'], { env, signal }),
      'vs version': () => run([vs, 'version'], { env, signal }),
    },
    rounds,
  );
  const base = result['empty node'] ?? NaN;
  const ratio = Object.fromEntries(
    Object.entries(result).map(([name, ms]) => [name, Number((ms / base).toFixed(2))]),
  );
  return { unit: 'ms', rounds, limit: limitMs, median: result, ratio };
}

/** `bench cli`: how long a whole process takes, beside an empty Node and mosquitto_sub; the exit code. */
export async function benchCli(options: {
  lab: string;
  rounds: number;
  json: boolean;
  signal: AbortSignal;
}): Promise<number> {
  const result = await withLab(options.lab, 'btrfs', options.signal, (lab) => benchIn(lab, options.rounds));
  if (options.json) console.log(JSON.stringify(result));
  else {
    console.log(
      `whole processes in a lab of 2 hosts with a vserver each, medians of ${result.rounds} rounds`,
    );
    for (const [name, ms] of Object.entries(result.median)) {
      const ratio = (result.ratio[name] ?? NaN).toFixed(1);
      console.log(`${name.padEnd(20)} ${String(ms).padStart(5)} ms ${ratio.padStart(6)} x an empty node`);
    }
  }
  const scan = result.median['vs scan'] ?? Infinity;
  if (scan <= limitMs) return 0;
  say(
    `bench: vs scan took ${scan} ms, more than ${limitMs} ms (an empty node ${result.median['empty node']} ms)`,
  );
  return 1;
}
