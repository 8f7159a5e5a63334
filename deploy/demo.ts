import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

/**
 * The demo: a lab of a master and two hosts, one Debian vserver that serves TCP, one move with a prober outside.
 * It uses nothing but the commands of the README.
 */
const vs = new URL('../vs', import.meta.url).pathname;
const lab = 'demo';
const name = 'web1';
const address = '10.60.10.5';
const children = new Set<ChildProcess>();
const environment: NodeJS.ProcessEnv = { ...process.env };

interface Probe {
  answered: number;
  lost: number;
  gapMs: number;
}
interface Saga {
  kind: string;
  downtimeMs?: number;
  bytes?: number;
  started: number;
  ended?: number;
  steps: { step: string; ms?: number; host?: string; downtime?: boolean }[];
}

function child(
  args: string[],
  output: 'show' | 'keep',
): { process: ChildProcess; done: Promise<{ code: number; stdout: string }> } {
  const process_ = spawn(vs, args, {
    stdio: ['ignore', output === 'show' ? 'inherit' : 'pipe', 'inherit'],
    env: environment,
  });
  children.add(process_);
  let stdout = '';
  process_.stdout?.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  const done = new Promise<{ code: number; stdout: string }>((resolve, reject) => {
    process_.once('error', reject);
    process_.once('close', (code) => {
      children.delete(process_);
      resolve({ code: code ?? 1, stdout });
    });
  });
  return { process: process_, done };
}

/** Runs one vs command; its failure ends the demo. */
async function run(args: string[], output: 'show' | 'keep' = 'show'): Promise<string> {
  if (output === 'show')
    console.log(`\n$ vs ${args.map((word) => (/^[\w.,:/=+-]+$/.test(word) ? word : "'...'")).join(' ')}`);
  const { code, stdout } = await child(args, output).done;
  if (code !== 0) throw new Error(`vs ${args[0]} ${args[1] ?? ''} ended with exit code ${code}`);
  return stdout;
}

const service = readFileSync(new URL('./hello.sh', import.meta.url), 'utf8');

async function useLab(): Promise<void> {
  await run(['lab', 'up', '--name', lab]);
  for (const line of (await run(['lab', 'env', '--name', lab], 'keep')).split('\n')) {
    const match = /^export (\w+)=(.*)$/.exec(line);
    if (match?.[1]) environment[match[1]] = (match[2] ?? '').replace(/^(['"])(.*)\1$/, '$2');
  }
}

/** The name of the template that can be had here: Debian, or busybox when no mirror answers. */
async function template(): Promise<'bookworm' | 'busybox'> {
  console.log('\n$ vs template build bookworm        (once; kept for the next time)');
  const { code } = await child(['template', 'build', 'bookworm'], 'show').done;
  if (code === 0) return 'bookworm';
  console.log(
    'No Debian template could be built (is a Debian mirror reachable?): the demo goes on with a busybox template.',
  );
  return 'busybox';
}

function summary(saga: Saga, probe: Probe, total: number): void {
  const seconds = (ms: number) => `${(ms / 1000).toFixed(2)} s`;
  console.log('\nWhat happened');
  for (const step of saga.steps) {
    console.log(
      `  ${step.step.padEnd(12)} ${(step.host ?? '').padEnd(8)} ${seconds(step.ms ?? 0).padStart(8)}${step.downtime ? '  |' : ''}`,
    );
  }
  console.log(`  copied                ${((saga.bytes ?? 0) / 1e6).toFixed(1)} MB`);
  console.log(`  move in all           ${seconds((saga.ended ?? saga.started) - saga.started)}`);
  console.log(
    `  downtime, as the prober outside saw it   ${seconds(probe.gapMs)}  (${probe.answered} answers, ${probe.lost} lost)`,
  );
  console.log(`  downtime, as the saga reports it         ${seconds(saga.downtimeMs ?? 0)}`);
  console.log(`  the whole demo        ${seconds(total)}`);
}

/** Once, whoever asks for it: two at a time would be in each other's way. */
let takenDown: Promise<void> | undefined;
const takeDown = () =>
  (takenDown ??= run(['lab', 'down', '--name', lab]).then(
    () => undefined,
    (error: unknown) => console.error(String(error)),
  ));

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { keep: { type: 'boolean', default: false } } });
  const begun = Date.now();
  let failed = true;
  try {
    await run(['lab', 'down', '--name', lab], 'keep'); // what a killed demo left
    await useLab();
    const source = await template();
    await run(['create', name, address, source, '--host', 'host1', '--start']);
    if (source === 'bookworm') await run(['exec', name, '--', 'sh', '-c', service]);
    for (let answered = 0, tries = 5; answered === 0; tries--) {
      if (tries === 0) throw new Error(`${name} does not answer on port 80`);
      const looks = ['lab', 'probe', `${address}:80`, '--for', '3s', '--json', '--name', lab];
      answered = (JSON.parse((await child(looks, 'keep').done).stdout) as Probe).answered;
    }
    const prober = child(
      ['lab', 'probe', `${address}:80`, '--interval', '10ms', '--for', '300s', '--json', '--name', lab],
      'keep',
    );
    await new Promise((resolve) => setTimeout(resolve, 700));
    await run(['move', name, 'host2']);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    prober.process.kill('SIGINT');
    const probe = JSON.parse((await prober.done).stdout) as Probe;
    await run(['scan']);
    const rows = JSON.parse(await run(['scan', '--json'], 'keep')) as {
      host: string;
      vserver: string;
      state: string;
    }[];
    const running = rows.filter((row) => row.vserver === name && row.state === 'running');
    if (running.length !== 1 || running[0]?.host !== 'host2')
      throw new Error(`${name} should run on host2 alone: ${JSON.stringify(rows)}`);
    const sagas = JSON.parse(await run(['saga', 'list', '--json'], 'keep')) as Saga[];
    const move = sagas.find((saga) => saga.kind === 'move');
    if (!move) throw new Error('the move is not in the list of sagas');
    summary(move, probe, Date.now() - begun);
    failed = false;
    if (values.keep) {
      console.log(`\nThe lab stays up. Try next:
  eval "$(./vs lab env --name ${lab})"
  ./vs scan                      ./vs move ${name} host1
  ./vs exec ${name} -- uptime       ./vs show ${name}
  mosquitto_sub $(./vs lab mqtt viewer --name ${lab}) -t 'vs/1/#' -v
  ./vs lab down --name ${lab}       takes it down`);
    } else {
      console.log('\nTry next: npm run demo -- --keep leaves the lab up and says what to type.');
    }
  } catch (error) {
    console.error(`\ndemo: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  } finally {
    if (!values.keep || failed) await takeDown();
  }
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    if (!takenDown) for (const process_ of children) process_.kill('SIGTERM');
    void takeDown().then(() => process.exit(1));
  });
}
await main();
