import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';

/** `npm run bench -- cli [--rounds N] [--json]`: how long a whole process takes, beside an empty Node and mosquitto_sub. */
const root = new URL('..', import.meta.url).pathname;
const vs = `${root}vs`;
const lab = 'bench';

function call(argv: string[], env: NodeJS.ProcessEnv = process.env): string {
  const [file = '', ...args] = argv;
  const result = spawnSync(file, args, { encoding: 'utf8', env });
  if (result.status !== 0)
    throw new Error(`${argv.slice(0, 3).join(' ')} ended with ${result.status}: ${result.stderr}`);
  return result.stdout;
}

function labEnvironment(): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = { ...process.env };
  for (const line of call([vs, 'lab', 'env', '--name', lab]).split('\n')) {
    const match = /^export (\w+)=(.*)$/.exec(line);
    if (match?.[1]) env[match[1]] = (match[2] ?? '').replace(/^(['"])(.*)\1$/, '$2');
  }
  return env;
}

const median = (values: number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;

/** Rounds in turn, so that a noisy moment of the machine meets all of them alike. */
function measure(ways: Record<string, () => void>, rounds: number): Record<string, number> {
  const times: Record<string, number[]> = {};
  for (let round = 0; round <= rounds; round++) {
    for (const [name, way] of Object.entries(ways)) {
      const begun = performance.now();
      way();
      if (round > 0) (times[name] ??= []).push(performance.now() - begun); // the first round warms up
    }
  }
  return Object.fromEntries(
    Object.entries(times).map(([name, values]) => [name, Math.round(median(values))]),
  );
}

function benchCli(rounds: number): Record<string, number> {
  const env = labEnvironment();
  const mqtt = call([vs, 'lab', 'mqtt', 'viewer', '--name', lab]).trim().split(/\s+/);
  return measure(
    {
      'empty node': () => call([process.execPath, '-e', '0']),
      'mosquitto_sub -C 1': () =>
        call(['mosquitto_sub', ...mqtt, '-t', 'vs/1/hosts/+/status', '-C', '1', '-W', '5']),
      'vs scan': () => call([vs, 'scan', '--json'], env),
    },
    rounds,
  );
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean', default: false }, rounds: { type: 'string', default: '15' } },
});
if (positionals[0] !== 'cli') {
  console.error('usage: npm run bench -- cli [--rounds N] [--json]');
  process.exit(2);
}
call([vs, 'lab', 'down', '--name', lab]);
try {
  call([vs, 'lab', 'up', '--name', lab]);
  const result = benchCli(Number(values.rounds));
  const base = result['empty node'] ?? 1;
  if (values.json) console.log(JSON.stringify({ unit: 'ms', median: result }));
  else {
    for (const [name, ms] of Object.entries(result)) {
      console.log(
        `${name.padEnd(22)} ${String(ms).padStart(6)} ms   ${(ms / base).toFixed(1)} x an empty node`,
      );
    }
  }
  if ((result['vs scan'] ?? Infinity) > 200) {
    console.error('vs scan took more than 200 ms');
    process.exitCode = 1;
  }
} finally {
  call([vs, 'lab', 'down', '--name', lab]);
}
