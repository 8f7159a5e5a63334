import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ProbeResult } from '../lab/probe.ts';
import { type BenchLab, vs } from './kit.ts';
import type { Shell } from './shell.ts';

export interface Measured<T> {
  /** The longest time without a TCP answer of its service, and without an answer to a ping. */
  downtimeMs: number;
  pingMs: number;
  /** From the first command until it answers again and the last command has ended. */
  totalMs: number;
  value: T;
}

/** Waits until the address takes a TCP connection, asked from the prober's namespace. */
export async function awaitAnswer(prober: Shell, address: string): Promise<void> {
  const once = `timeout 1 bash -c 'exec 3<>/dev/tcp/${address}/80' 2>/dev/null`;
  await prober.run(
    `for i in $(seq 600); do ${once} && exit 0; sleep 0.1; done\necho "${address} does not answer" >&2; exit 1`,
  );
}

/** Waits until both probers ask, which on a busy machine takes seconds: connections and pings that leave their namespace. */
async function awaitAsking(prober: Shell): Promise<void> {
  await prober.run(`sent() { awk '$1 == "Tcp:" { tcp = $6 } $1 == "Icmp:" && !at { for (n = 2; n <= NF; n++) if ($n == "OutEchos") at = n; next }
  $1 == "Icmp:" { ping = $at } END { print tcp, ping }' /proc/net/snmp; }
for i in $(seq 100); do
  read -r tcp ping < <(sent); sleep 0.3; read -r tcp2 ping2 < <(sent)
  if [ $((tcp2 - tcp)) -gt 9 ] && [ $((ping2 - ping)) -gt 9 ]; then exit 0; fi
done
echo 'the probers do not ask every 10 ms' >&2; exit 1`);
}

/** Starts the lab's prober; `stop` ends it and answers what it saw. */
function startProbe(lab: BenchLab, words: string[]): { stop(): Promise<ProbeResult> } {
  const more = ['--name', lab.name, '--interval', '10ms', '--for', '60m', '--json'];
  const child = spawn(vs, ['lab', 'probe', ...words, ...more], {
    stdio: ['ignore', 'pipe', 'inherit'],
    signal: lab.signal,
  });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const done = new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', () => resolve());
  });
  done.catch(() => undefined); // told to whoever waits for it
  return {
    async stop() {
      child.kill('SIGINT');
      await done;
      if (!text) throw new Error(`the prober of ${words.join(' ')} ended without a result`);
      return JSON.parse(text) as ProbeResult;
    },
  };
}

/** Runs a move while the prober asks from outside every 10 ms, its service and by ping. `gapless`: what it runs may have no gap of its own. */
export async function probed<T>(
  lab: BenchLab,
  prober: Shell,
  address: string,
  move: () => Promise<T>,
  { gapless = false } = {},
): Promise<Measured<T>> {
  await awaitAnswer(prober, address);
  const probes = [startProbe(lab, [`${address}:80`]), startProbe(lab, [address, '--icmp'])];
  const stop = () => Promise.all(probes.map((one) => one.stop()));
  try {
    await awaitAsking(prober);
    const begun = Date.now();
    const value = await move();
    const ended = Date.now();
    await awaitAnswer(prober, address);
    await sleep(1200); // what was asked in the gap is answered or given up by then (1 s): a late answer would make a gap of its own
    const [seen, ping] = await stop();
    if (!seen || !ping) throw new Error('a prober has no result');
    // the last answer before it may be some questions old
    if (!gapless && (seen.gapFrom < begun - 200 || seen.gapFrom > ended))
      throw new Error(`the longest gap of ${address} was not in the move: ${JSON.stringify(seen)}`);
    return {
      downtimeMs: seen.gapMs,
      pingMs: ping.gapMs,
      totalMs: Math.max(ended, seen.gapTo) - begun,
      value,
    };
  } catch (error) {
    await stop().catch(() => undefined);
    throw error;
  }
}
