import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { type BenchLab, median, memoryOf, pidOf, run, say, vs, withLab } from './kit.ts';

const VSERVERS = 50;
/** What is asserted: share of a core for a sample every 10 s, and for the checks (percent), resident memory of the agent (bytes), a whole `vs stats` (ms). */
const limits = { corePct: 1, checksPct: 2, memory: 90e6, statsMs: 300 };
const SETTLE_MS = 12_000;
const MEASURE_MS = 25_000;
/** How often the figures are taken while their cost is measured: often, so that it shows beside what the agent does anyway. */
const OFTEN_S = 1;
const SELDOM_S = 3600;
const PUBLISHED_S = 10;
/** Checks of each vserver: daemons, which cost most, for each makes a connection inside. */
const CHECKS = 5;
const CHECKED_S = 10;
const CHECKED_MS = 60_000;
/** Fewer than this share of the looks that are due is no measurement of them. */
const LEAST_SEEN = 0.9;

export interface MonitorResult {
  vservers: number;
  rounds: number;
  limits: typeof limits;
  /** Processor time of the agent for one sample of all vservers and the host, ms. */
  sampleMs: number;
  corePct: number;
  /** What the agent takes of a core with no samples at all, percent. */
  idlePct: number;
  /** What the checks take of a core, with the helper that makes their connections, percent. */
  checksPct: number;
  /** Connections that the kernels of the vservers counted while that was measured, and how many were due. */
  looks: number;
  looksDue: number;
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

const agentPid = (lab: BenchLab) => pidOf(lab, 'host1', 'agent');
/** Processor seconds of a process, its children not counted. */
function cpuOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
/** Processor seconds of a process and of all that it has started, ended or not. */
function cpuOfTree(pid: number): number {
  if (!existsSync(`/proc/${pid}/task/${pid}/children`)) return 0; // it has just ended: its parent counts it
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const own = fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) / 100;
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .trim()
    .split(' ')
    .filter(Boolean);
  return own + children.reduce((sum, child) => sum + cpuOfTree(Number(child)), 0);
}
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

const onHost = (lab: BenchLab, script: string) => lab.lab('exec', 'host1', '--', 'sh', '-c', script);
const each = 'for web in /var/lib/vservers/web*; do';
/** Connections that were accepted in the network namespaces of all vservers since their start, as their kernel counts them. */
async function acceptedIn(lab: BenchLab): Promise<number> {
  const text = await onHost(
    lab,
    `${each} pid=$(lxc-info -P /var/lib/vservers -n \${web##*/} -pH) && grep '^Tcp: [0-9]' /proc/$pid/net/snmp; done`,
  );
  return text
    .split('\n')
    .filter(Boolean)
    .reduce((sum, line) => sum + Number(line.split(' ')[6]), 0);
}
/** What the checks take of the agent and its helper: without them, then with them, in one life of the agent. */
async function checksOf(
  lab: BenchLab,
  pid: number,
): Promise<Pick<MonitorResult, 'checksPct' | 'looks' | 'looksDue'>> {
  const lines = Array.from({ length: CHECKS }, (_, index) => `DAEMON=web${index} tcp=8080`).join('\\n');
  await onHost(
    lab,
    `${each} lxc-attach -P /var/lib/vservers -n \${web##*/} -- httpd -p 8080 -h /var/www </dev/null; done`,
  );
  const shareOf = async () => {
    const [cpu, begun, accepted] = [cpuOfTree(pid), performance.now(), await acceptedIn(lab)];
    await pause(CHECKED_MS, lab.signal);
    const seconds = (performance.now() - begun) / 1000;
    return { share: (cpuOfTree(pid) - cpu) / seconds, looks: (await acceptedIn(lab)) - accepted, seconds };
  };
  say('without checks');
  const without = await shareOf();
  say(`${CHECKS} checks of each every ${CHECKED_S} s`);
  await onHost(
    lab,
    `${each} printf 'MONITOR_POOLING=${CHECKED_S}\\n${lines}\\n' > "$web/monitor.conf"; done`,
  );
  await pause(SETTLE_MS, lab.signal);
  const checked = await shareOf();
  return {
    checksPct: Number((100 * (checked.share - without.share)).toFixed(2)),
    looks: checked.looks - without.looks,
    looksDue: Math.floor((VSERVERS * CHECKS * CHECKED_MS) / 1000 / CHECKED_S),
  };
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
  await pause(2 * PUBLISHED_S * 1000, lab.signal);
  const checks = await checksOf(lab, pid);
  const sample = (median(busy) - median(idle)) * OFTEN_S;
  return {
    vservers: VSERVERS,
    rounds,
    limits,
    sampleMs: Number((sample * 1000).toFixed(1)),
    corePct: Number(((100 * sample) / PUBLISHED_S).toFixed(2)),
    idlePct: Number((100 * median(idle)).toFixed(1)),
    ...checks,
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
    ...(found.checksPct < limits.checksPct
      ? []
      : [`the checks take ${found.checksPct} % of a core, not under ${limits.checksPct} %`]),
    ...(found.looks >= LEAST_SEEN * found.looksDue
      ? []
      : [`only ${found.looks} of ${found.looksDue} looks were seen by the vservers`]),
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
${CHECKS} checks of each     ${found.checksPct} % with one look every ${CHECKED_S} s; ${found.looks} of ${found.looksDue} looks were counted by the kernels of the vservers
the agent           ${Math.round(found.memory / 1e6)} MB resident
vs stats            ${found.statsMs} ms   vs top --once ${found.topMs} ms   (an empty node ${found.emptyMs} ms)`);
  for (const fault of faults) say(`bench: ${fault}`);
  return faults.length > 0 ? 1 : 0;
}
