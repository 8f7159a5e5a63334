import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type BenchBroker, type Kind, kinds, startBroker } from './brokers.ts';
import { benchAuthority } from './certificates.ts';
import type { jobs } from './jobs.ts';
import { median, say } from './kit.ts';

type JobName = keyof typeof jobs;
type Result<K extends JobName> = Awaited<ReturnType<Awaited<ReturnType<(typeof jobs)[K]>>>> & { cpu: number };
interface Swarm<K extends JobName> {
  /** Lets it work and answers what it found. */
  go(): Promise<Result<K>>;
}

/** A load generator in a process of its own, its clients connected. */
async function swarm<K extends JobName>(
  signal: AbortSignal,
  name: K,
  options: Parameters<(typeof jobs)[K]>[0],
): Promise<Swarm<K>> {
  const file = new URL('swarm.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [file, name, JSON.stringify(options)], {
    stdio: ['pipe', 'pipe', 'inherit'],
    signal,
  });
  child.once('error', () => undefined); // its end says it
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  async function next(): Promise<{ ready?: true; done?: Result<K> }> {
    const line = await lines.next();
    if (line.done) throw new Error(`the load generator "${name}" ended too early`);
    return JSON.parse(line.value) as { ready?: true; done?: Result<K> };
  }
  await next();
  return {
    async go() {
      child.stdin.write('go\n');
      const { done } = await next();
      return done as Result<K>;
    },
  };
}

const percentile = (values: number[], share: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? NaN;
const MB = 1e6;

/** What was found of one broker; milliseconds, seconds and bytes as the names say. */
interface Found {
  commandMs: number;
  commandP99Ms: number;
  cpuShare: number;
  lost: number;
  lateMs: number;
  memory: number;
  retainSeconds: number;
  subscribeMs: number;
  replayed: number;
  replaySeconds: number;
  entered: number;
  enterSeconds: number;
  frozenMs: number;
  frozenP99Ms: number;
}
interface Size {
  clients: number;
  topics: number;
  seconds: number;
  retained: number;
  tls: number;
  frozenSeconds: number;
}
const sizes: Record<'whole' | 'quick', Size> = {
  whole: { clients: 2000, topics: 20, seconds: 15, retained: 100_000, tls: 2000, frozenSeconds: 8 },
  quick: { clients: 500, topics: 20, seconds: 6, retained: 20_000, tls: 300, frozenSeconds: 4 },
};
const HOSTS = Array.from({ length: 40 }, (_, number) => `host${number + 1}`);

/** All phases against one broker after the other, so that a noisy moment does not meet one of them only. */
async function measure(size: Size, signal: AbortSignal): Promise<Record<Kind, Found>> {
  const authority = benchAuthority();
  const names = Array.from({ length: Math.max(size.tls, HOSTS.length) }, (_, number) => `host${number + 1}`);
  const directory = mkdtempSync(join(tmpdir(), 'vslab-bench-'));
  const file = join(directory, 'clients.json');
  const pairs = names.slice(0, size.tls).map((name) => ({ name, ...authority.issue(name, 'client') }));
  writeFileSync(file, JSON.stringify({ ca: authority.ca, pairs }), { mode: 0o600 });
  const found = { vs: {}, mosquitto: {} } as Record<Kind, Partial<Found>>;
  let broker: BenchBroker | undefined;

  async function each(
    phase: string,
    work: (port: { port: number; tlsPort: number }, broker: BenchBroker) => Promise<Partial<Found>>,
  ) {
    for (const kind of kinds) {
      signal.throwIfAborted();
      say(`bench: ${phase}, ${kind === 'vs' ? 'the embedded broker' : kind}`);
      broker = await startBroker(kind, names, authority);
      try {
        Object.assign(found[kind], await work(broker, broker));
      } finally {
        await broker.stop();
      }
    }
  }

  try {
    await each(`${size.clients} clients, ${size.topics} topics each`, async ({ port }, one) => {
      const { seconds } = size;
      const load = await swarm(signal, 'load', { port, hosts: HOSTS, ...size, seconds: seconds + 4 });
      const listen = await swarm(signal, 'listen', { port, filter: 'vs/1/#', seconds: seconds + 5 });
      const command = await swarm(signal, 'command', { port, hosts: HOSTS.slice(0, 20), seconds });
      const [heard, sent] = [listen.go(), load.go()];
      await new Promise((resolve) => setTimeout(resolve, 3000)); // warms up
      const [cpu, begun] = [one.cpu(), performance.now()];
      const { times } = await command.go();
      const cpuShare = (one.cpu() - cpu) / ((performance.now() - begun) / 1000);
      const memory = one.memory();
      const all = await sent;
      const { heard: count } = await heard;
      return {
        commandMs: median(times),
        commandP99Ms: percentile(times, 0.99),
        cpuShare,
        memory,
        lateMs: all.lateMs,
        lost: Math.max(0, all.sent - count),
      };
    });
    await each(`${size.retained} retained topics`, async ({ port }) => {
      const half = size.retained / 2;
      const first = await (await swarm(signal, 'retain', { port, hosts: HOSTS, from: 0, to: half })).go();
      const { times } = await (await swarm(signal, 'subscribe', { port, hosts: HOSTS, rounds: 100 })).go();
      const rest = { port, hosts: HOSTS, from: half, to: size.retained };
      const second = await (await swarm(signal, 'retain', rest)).go();
      const all = await (await swarm(signal, 'replay', { port, count: size.retained })).go();
      return {
        retainSeconds: first.seconds + second.seconds,
        subscribeMs: median(times),
        replayed: all.heard,
        replaySeconds: all.seconds,
      };
    });
    await each(`${size.tls} TLS clients at once`, async ({ tlsPort: port }) => {
      const half = Math.floor(size.tls / 2);
      const both = await Promise.all([
        swarm(signal, 'certificates', { port, file, from: 0, to: half }),
        swarm(signal, 'certificates', { port, file, from: half, to: size.tls }),
      ]);
      const results = await Promise.all(both.map((one) => one.go()));
      for (const { failure } of results) if (failure) say(`bench: ${failure}`);
      return {
        entered: results.reduce((sum, one) => sum + one.entered, 0),
        enterSeconds: Math.max(...results.map((one) => one.seconds)),
      };
    });
    await each('a subscriber that does not read', async ({ port }) => {
      const job = await swarm(signal, 'frozen', { port, host: 'host1', seconds: size.frozenSeconds });
      const { times } = await job.go();
      return { frozenMs: Math.max(...times), frozenP99Ms: percentile(times, 0.99) };
    });
  } finally {
    rmSync(directory, { recursive: true });
  }
  return found as Record<Kind, Found>;
}

interface Line {
  what: string;
  wanted: string;
  vs: string;
  mosquitto: string;
  ok: boolean | undefined;
}

/** The table: what is wanted, what both did, and whether the embedded broker meets it. */
export function judge(size: Size, found: Record<Kind, Found>): Line[] {
  const { vs, mosquitto } = found;
  const line = (
    what: string,
    wanted: string,
    show: (one: Found) => string,
    ok?: (one: Found) => boolean,
  ): Line => ({ what, wanted, vs: show(vs), mosquitto: show(mosquitto), ok: ok?.(vs) });
  const ms = (value: number) => `${value.toFixed(1)} ms`;
  const seconds = (value: number) => `${value.toFixed(1)} s`;
  return [
    line(
      'command and reply, median',
      'under 3 ms',
      (one) => ms(one.commandMs),
      (one) => one.commandMs < 3,
    ),
    line('command and reply, 99 %', '', (one) => ms(one.commandP99Ms)),
    {
      ...line('processor', 'up to 2.5 x', (one) => `${(one.cpuShare * 100).toFixed(0)} % of a core`),
      ok: vs.cpuShare <= 2.5 * mosquitto.cpuShare,
      wanted: `up to 2.5 x (is ${(vs.cpuShare / mosquitto.cpuShare).toFixed(2)})`,
    },
    line(
      'metrics that did not arrive',
      'none',
      (one) => String(one.lost),
      (one) => one.lost === 0,
    ),
    line('the generator was late by', '', (one) => ms(one.lateMs)),
    line('memory under that load', '', (one) => `${(one.memory / MB).toFixed(0)} MB`),
    line(`${size.retained} retained messages taken`, '', (one) => seconds(one.retainSeconds)),
    line(
      `all of them to a new subscriber`,
      'all, under 10 s',
      (one) => `${one.replayed === size.retained ? 'all' : one.replayed} in ${seconds(one.replaySeconds)}`,
      (one) => one.replayed === size.retained && one.replaySeconds < 10,
    ),
    line(
      `SUBSCRIBE to one among ${size.retained / 2}`,
      'under 2 ms',
      (one) => ms(one.subscribeMs),
      (one) => one.subscribeMs < 2,
    ),
    line(
      `${size.tls} TLS clients at once`,
      'all, under 20 s',
      (one) => `${one.entered === size.tls ? 'all' : one.entered} in ${seconds(one.enterSeconds)}`,
      (one) => one.entered === size.tls && one.enterSeconds < 20,
    ),
    line(
      'delay by a frozen subscriber, most',
      'under 200 ms',
      (one) => ms(one.frozenMs),
      (one) => one.frozenMs < 200,
    ),
    line('delay by a frozen subscriber, 99 %', '', (one) => ms(one.frozenP99Ms)),
  ];
}

/** `bench broker`: the embedded broker beside mosquitto; the exit code is 1 when it misses what is wanted. */
export async function benchBroker(options: {
  quick: boolean;
  json: boolean;
  signal: AbortSignal;
}): Promise<number> {
  const size = sizes[options.quick ? 'quick' : 'whole'];
  const found = await measure(size, options.signal);
  const lines = judge(size, found);
  const missed = lines.filter((one) => one.ok === false);
  if (options.json) console.log(JSON.stringify({ size, ...found, missed: missed.map((one) => one.what) }));
  else {
    const show = (what: string, vs: string, mosquitto: string, wanted: string, ok: string) =>
      console.log(
        [what.padEnd(36), vs.padStart(15), mosquitto.padStart(15), `  ${wanted.padEnd(24)}`, ok]
          .join(' ')
          .trimEnd(),
      );
    show('', 'vs', 'mosquitto', 'wanted', 'ok');
    for (const { what, vs, mosquitto, wanted, ok } of lines)
      show(what, vs, mosquitto, wanted, ok === undefined ? '' : ok ? 'yes' : 'NO');
  }
  if (missed.length === 0) return 0;
  say(`bench: the embedded broker missed ${missed.map((one) => one.what).join('; ')}`);
  return 1;
}
