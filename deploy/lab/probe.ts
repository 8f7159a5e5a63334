import { spawn } from 'node:child_process';
import { createConnection, isIPv6 } from 'node:net';
import { parseArgs } from 'node:util';

/**
 * The prober, run inside the prober's network namespace: asks every interval whether something answers, and tells
 * the longest time between two answers (or from the start to the first, or from the last to the end).
 */
export interface ProbeResult {
  target: string;
  answered: number;
  lost: number;
  /** The longest time without an answer, in ms, and its two ends in epoch ms. */
  gapMs: number;
  gapFrom: number;
  gapTo: number;
  started: number;
  ended: number;
  /** Why attempts were lost, by error code. */
  errors: Record<string, number>;
}

/** The longest gap between the marks, which are epoch ms in any order. */
export function longestGap(marks: number[]): { from: number; to: number; ms: number } {
  const sorted = marks.toSorted((a, b) => a - b);
  let best = { from: sorted[0] ?? 0, to: sorted[0] ?? 0, ms: 0 };
  for (let i = 1; i < sorted.length; i++) {
    const from = sorted[i - 1] ?? 0;
    const to = sorted[i] ?? 0;
    if (to - from > best.ms) best = { from, to, ms: Math.round(to - from) };
  }
  return best;
}

/** Wall-clock time with a monotonic step. */
const now = (): number => performance.timeOrigin + performance.now();
const patience = 1000;

/** One attempt: a TCP connection; with `read` a byte (or the end) must come as well. Ends in order, never by a reset. */
function attempt(host: string, port: number, read: boolean): Promise<{ at: number; error?: string }> {
  return new Promise((resolve) => {
    const socket = createConnection({ host, port, noDelay: true });
    const timer = setTimeout(() => finish('ETIMEDOUT'), patience);
    let told = false;
    const tell = (error?: string) => {
      if (told) return;
      told = true;
      resolve(error === undefined ? { at: now() } : { at: now(), error });
    };
    const finish = (error?: string) => {
      tell(error);
      clearTimeout(timer);
      if (error === undefined) socket.end();
      else socket.destroy();
    };
    socket.once('connect', () => {
      if (!read) tell();
    });
    socket.on('data', () => finish());
    socket.once('end', () => finish());
    socket.once('error', (error: NodeJS.ErrnoException) => finish(error.code ?? 'error'));
  });
}

async function probeTcp(target: string, interval: number, ms: number, read: boolean, stop: AbortSignal) {
  const [, bracketed, plain, port] = /^(?:\[(.+)\]|([^[\]]+)):(\d+)$/.exec(target) ?? [];
  const host = bracketed ?? plain ?? '';
  const answers: number[] = [];
  const errors: Record<string, number> = {};
  const open = new Set<ReturnType<typeof attempt>>();
  const note = async (one: ReturnType<typeof attempt>): Promise<void> => {
    const { at, error } = await one;
    if (error === undefined) answers.push(at);
    else errors[error] = (errors[error] ?? 0) + 1;
    open.delete(one);
  };
  const begun = performance.now();
  for (let n = 0; !stop.aborted && performance.now() - begun < ms; n++) {
    const one = attempt(host, Number(port), read);
    open.add(one);
    void note(one);
    const wait = (n + 1) * interval - (performance.now() - begun);
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
  }
  const ended = now();
  await Promise.all(open);
  return { answers, errors, ended };
}

async function probeIcmp(address: string, interval: number, ms: number, stop: AbortSignal) {
  const family = isIPv6(address) ? '-6' : '-4';
  const args = [
    family,
    '-n',
    '-D',
    '-i',
    String(interval / 1000),
    '-W',
    '1',
    '-w',
    String(Math.ceil(ms / 1000)),
  ];
  const child = spawn('ping', [...args, address], { stdio: ['ignore', 'pipe', 'inherit'] });
  stop.addEventListener('abort', () => child.kill('SIGINT'));
  if (stop.aborted) child.kill('SIGINT');
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
  const answers: number[] = [];
  for (const match of output.matchAll(/^\[(\d+\.\d+)\] \d+ bytes from/gm))
    answers.push(Number(match[1]) * 1000);
  const sent = Number(/(\d+) packets transmitted/.exec(output)?.[1] ?? answers.length);
  const lost = Math.max(0, sent - answers.length);
  const errors: Record<string, number> = lost > 0 ? { lost } : {};
  return { answers, errors, ended: now() };
}

const time = (ms: number): string => new Date(ms).toISOString().slice(11, 23);

function printed(result: ProbeResult): string {
  const reasons = Object.entries(result.errors)
    .map(([code, count]) => `${count} ${code}`)
    .join(', ');
  const lost = `${result.lost} lost${reasons ? ` (${reasons})` : ''}`;
  const gap = `longest gap ${result.gapMs} ms, from ${time(result.gapFrom)} to ${time(result.gapTo)} UTC`;
  return `${result.target}: ${result.answered} answered, ${lost}; ${gap}`;
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      interval: { type: 'string', default: '10' },
      for: { type: 'string', default: '30000' },
      icmp: { type: 'boolean', default: false },
      read: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  });
  const target = positionals[0] ?? '';
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => stop.abort());
  const started = now();
  const [interval, ms] = [Number(values.interval), Number(values.for)];
  const { answers, errors, ended } = values.icmp
    ? await probeIcmp(target, interval, ms, stop.signal)
    : await probeTcp(target, interval, ms, values.read, stop.signal);
  // an answer to the last questions, after the end, says nothing of a gap: nobody asked any more
  const gap = longestGap([started, ...answers.filter((at) => at < ended), ended]);
  const result: ProbeResult = {
    target,
    answered: answers.length,
    lost: Object.values(errors).reduce((sum, count) => sum + count, 0),
    gapMs: gap.ms,
    gapFrom: Math.round(gap.from),
    gapTo: Math.round(gap.to),
    started: Math.round(started),
    ended: Math.round(ended),
    errors,
  };
  console.log(values.json ? JSON.stringify(result) : printed(result));
}

if (import.meta.main) await main();
