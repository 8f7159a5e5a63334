import { appendFileSync, readFileSync } from 'node:fs';
import { type BenchLab, median, run, say, vs, withLab } from './kit.ts';

const VSERVERS = 50;
/** What is asserted: share of a core for a sample every 10 s (percent), resident memory of the agent (bytes), a whole `vs stats` (ms). */
const limits = { corePct: 1, memory: 90e6, statsMs: 300 };
const SETTLE_MS = 12_000;
const MEASURE_MS = 25_000;
/** How often the figures are taken while their cost is measured: often, so that it shows beside what the agent does anyway. */
const OFTEN_S = 1;
const SELDOM_S = 3600;
const PUBLISHED_S = 10;

export interface MonitorResult {
  vservers: number;
  rounds: number;
  limits: typeof limits;
  /** Processor time of the agent for one sample of all vservers and the host, ms. */
  sampleMs: number;
  corePct: number;
  /** What the agent takes of a core with no samples at all, percent. */
  idlePct: number;
  memory: number;
  statsMs: number;
  topMs: number;
  emptyMs: number;
}
const pause = (ms: number, signal: AbortSignal) =>
  new Promise<void>((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => (clearTimeout(timer), reject(new Error('ended'))), { once: true });
  });

async function agentPid(lab: BenchLab): Promise<number> {
  const { nodes } = JSON.parse(await lab.lab('status', '--json')) as {
    nodes: { name: string; processes: { name: string; pid: number }[] }[];
  };
  const found = nodes.find(({ name }) => name === 'host1')?.processes.find(({ name }) => name === 'agent');
  if (!found) throw new Error('host1 has no agent');
  return found.pid;
}
/** Processor seconds of a process, its children not counted. */
function cpuOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
const memoryOf = (pid: number): number =>
  1024 * Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);

/** The agent anew with this METRICS_INTERVAL, settled. */
async function restart(lab: BenchLab, seconds: number): Promise<number> {
  appendFileSync(`/var/lib/vslab-${lab.name}/host1/etc/vs-tools.conf`, `METRICS_INTERVAL=${seconds}\n`);
  const before = await agentPid(lab);
  process.kill(before, 'SIGKILL');
  for (let tries = 0; tries < 60; tries++) {
    await pause(500, lab.signal);
    const now = await agentPid(lab).catch(() => before);
    if (now === before) continue;
    await pause(SETTLE_MS, lab.signal);
    return now;
  }
  throw new Error('the agent of host1 did not come back');
}
async function secondsOf(lab: BenchLab, pid: number): Promise<number> {
  const [cpu, begun] = [cpuOf(pid), performance.now()];
  await pause(MEASURE_MS, lab.signal);
  return ((cpuOf(pid) - cpu) * 1000) / (performance.now() - begun);
}

async function wholeProcess(lab: BenchLab, argv: string[], rounds: number): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    const begun = performance.now();
    await run(argv, { env: lab.env, signal: lab.signal });
    if (round > 0) times.push(performance.now() - begun);
  }
  return Math.round(median(times));
}

async function measure(lab: BenchLab, rounds: number): Promise<MonitorResult> {
  for (let number = 1; number <= VSERVERS; number++) {
    say(`vserver ${number} of ${VSERVERS}`);
    await lab.vs([
      'create',
      `web${number}`,
      `10.60.10.${number + 4}`,
      'busybox',
      '--host',
      'host1',
      '--start',
    ]);
  }
  const [idle, busy]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++)
    for (const [seconds, into] of [
      [SELDOM_S, idle],
      [OFTEN_S, busy],
    ] as const) {
      say(`round ${round + 1} of ${rounds}: a sample every ${seconds} s`);
      into.push(await secondsOf(lab, await restart(lab, seconds)));
    }
  say(`a sample every ${PUBLISHED_S} s`);
  const pid = await restart(lab, PUBLISHED_S);
  await pause(6 * PUBLISHED_S * 1000, lab.signal);
  const sample = (median(busy) - median(idle)) * OFTEN_S;
  return {
    vservers: VSERVERS,
    rounds,
    limits,
    sampleMs: Number((sample * 1000).toFixed(1)),
    corePct: Number(((100 * sample) / PUBLISHED_S).toFixed(2)),
    idlePct: Number((100 * median(idle)).toFixed(1)),
    memory: memoryOf(pid),
    statsMs: await wholeProcess(lab, [vs, 'stats'], 15),
    topMs: await wholeProcess(lab, [vs, 'top', '--once'], 15),
    emptyMs: await wholeProcess(lab, [process.execPath, '-e', '0'], 15),
  };
}

/** `bench monitor`: what the figures of 50 vservers cost their host, and how fast they are read; the exit code. */
export async function benchMonitor(options: {
  lab: string;
  rounds: number;
  json: boolean;
  signal: AbortSignal;
}): Promise<number> {
  const found = await withLab(options.lab, 'btrfs', options.signal, (lab) => measure(lab, options.rounds), [
    '--hosts',
    '1',
  ]);
  const faults = [
    ...(found.corePct < limits.corePct
      ? []
      : [`sampling takes ${found.corePct} % of a core, not under ${limits.corePct} %`]),
    ...(found.memory < limits.memory
      ? []
      : [`the agent takes ${Math.round(found.memory / 1e6)} MB, not under ${limits.memory / 1e6} MB`]),
    ...(found.statsMs < limits.statsMs
      ? []
      : [`vs stats takes ${found.statsMs} ms, not under ${limits.statsMs} ms`]),
    ...(found.topMs < limits.statsMs
      ? []
      : [`vs top --once takes ${found.topMs} ms, not under ${limits.statsMs} ms`]),
  ];
  if (options.json) console.log(JSON.stringify({ ...found, faults }));
  else
    console.log(`${found.vservers} busybox vservers on one host, medians of ${found.rounds} rounds
a sample            ${found.sampleMs} ms of a core: ${found.corePct} % with one every ${PUBLISHED_S} s (without samples the agent takes ${found.idlePct} %)
the agent           ${Math.round(found.memory / 1e6)} MB resident
vs stats            ${found.statsMs} ms   vs top --once ${found.topMs} ms   (an empty node ${found.emptyMs} ms)`);
  for (const fault of faults) say(`bench: ${fault}`);
  return faults.length > 0 ? 1 : 0;
}
