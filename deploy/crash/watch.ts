import { createSocket } from 'node:dgram';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { createConnection } from 'node:net';
import { namespace } from '../lab/model.ts';
import { PROBER_PORT } from './guest.ts';
import { type Two, bootLog, listingLog } from './two.ts';

/**
 * Looks from outside, all the time, by two means that know nothing of one another: it asks each vserver over the network
 * for the id of its boot, and lists the processes of all hosts. Runs in the prober's network namespace.
 * usage: watch.ts LAB HOST,HOST,... ADDRESS,ADDRESS,...     One JSON object a line: a change, and once a second how much was looked at.
 */
export type Seen = { t: number } & (
  | { runs: Record<string, string[]> }
  | { boot: string; address: string }
  | { two: Two }
  /** Listings, the longest time between two of them (ms), answers by address, what copies told by themselves, and the last number of each counting vserver. */
  | {
      looked: {
        listings: number;
        told: number;
        gapMs: number;
        answers: Record<string, number>;
        counts: Record<string, number>;
      };
    }
);

const LIST_MS = 10;
const ASK_MS = 30;
const PATIENCE_MS = 1000;
const [lab = '', hosts = '', addresses = ''] = process.argv.slice(2);
const now = (): number => performance.timeOrigin + performance.now();
const say = (seen: Seen): void => void process.stdout.write(`${JSON.stringify(seen)}\n`);

const top = '/sys/fs/cgroup';
const v2 = existsSync(`${top}/cgroup.procs`);
const read = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};
/** Is a vserver frozen? It runs no instruction then. */
const isFrozen = (part: string, payload: string): boolean =>
  v2
    ? /^frozen 1/m.test(read(`${top}/${part}/${payload}/cgroup.events`))
    : read(`${top}/freezer/${part}/${payload}/freezer.state`).includes('FROZEN');

/** Which vservers have processes, on which hosts. */
function list(): Record<string, string[]> {
  const runs: Record<string, string[]> = {};
  for (const host of hosts.split(',')) {
    const part = namespace(lab, host);
    const directory = v2 ? `${top}/${part}` : `${top}/pids/${part}`;
    let entries: string[] = [];
    try {
      entries = readdirSync(directory);
    } catch {
      continue; // the host is off
    }
    for (const entry of entries) {
      // web1-1 is a second group of web1 (LXC counts them); web1-test is another vserver
      const name = /^lxc\.payload\.([a-z0-9]+(?:-[a-z0-9]*[a-z][a-z0-9]*)*)(?:-\d+)?$/.exec(entry)?.[1];
      if (name && read(`${directory}/${entry}/cgroup.procs`) !== '') (runs[name] ??= []).push(host);
    }
  }
  for (const [name, on] of Object.entries(runs))
    if (on.length > 1) {
      const awake = on.filter((host) => !isFrozen(namespace(lab, host), `lxc.payload.${name}`));
      runs[name] = awake;
    }
  return runs;
}

const lists = listingLog();
let last = '';
const nothing = () => ({ listings: 0, gapMs: 0, answers: {} as Record<string, number> });
let looked = nothing();
let lastList = now();
setInterval(() => {
  const t = now();
  looked.listings++;
  looked.gapMs = Math.max(looked.gapMs, Math.round(t - lastList));
  lastList = t;
  const runs = list();
  const text = JSON.stringify(runs);
  if (text !== last) say({ t, runs });
  last = text;
  for (const two of lists.seen(runs, t)) say({ t, two });
}, LIST_MS);

// What the copies tell by themselves: the id of their boot and when they told it, by the kernel's uptime (10 ms exact).
const tellers = new Map<string, ReturnType<typeof bootLog>>();
let told = 0;
createSocket('udp4')
  .on('message', (message, { address }) => {
    const [, id, up] = /([0-9a-f-]{36}) (\d+\.\d+)/.exec(message.toString()) ?? [];
    if (!id || !up) return;
    told++;
    const log = tellers.get(address) ?? bootLog(address);
    tellers.set(address, log);
    const two = log.heard(id, Number(up) * 1000, Number(up) * 1000);
    if (two) say({ t: now(), two: { ...two, t: now() } });
  })
  .bind(PROBER_PORT);

/** One question over HTTP/1.0; the body of the answer, or nothing. */
function ask(address: string, path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = createConnection({ host: address, port: 80, noDelay: true });
    let text = '';
    const end = (answer?: string) => {
      clearTimeout(timer);
      resolve(answer);
      socket.destroy();
    };
    const timer = setTimeout(end, PATIENCE_MS);
    socket.once('connect', () => socket.write(`GET ${path} HTTP/1.0\r\n\r\n`));
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
    socket.once('error', () => end());
    socket.once('close', () => {
      const [head = '', body = ''] = text.split('\r\n\r\n');
      end(/^HTTP\/1\.\d 200/.test(head) && body.trim() ? body.trim() : undefined);
    });
  });
}

const counts: Record<string, number> = {};
for (const address of addresses.split(',').filter(Boolean)) {
  const log = bootLog(address);
  let boot = '';
  let open = 0;
  let turn = 0;
  const once = async (): Promise<void> => {
    const sent = now();
    if (turn++ % 10 === 0) {
      const count = Number(await ask(address, '/count'));
      if (count > 0) counts[address] = Math.max(count, counts[address] ?? 0);
      return;
    }
    const id = await ask(address, '/boot');
    if (id === undefined) return;
    const got = now();
    looked.answers[address] = (looked.answers[address] ?? 0) + 1;
    if (id !== boot) say({ t: got, boot: id, address });
    boot = id;
    const two = log.heard(id, sent, got);
    if (two) say({ t: got, two });
  };
  setInterval(() => {
    if (open > 30) return;
    open++;
    void once().finally(() => open--);
  }, ASK_MS);
}

setInterval(() => {
  say({ t: now(), looked: { ...looked, told, counts: { ...counts } } });
  told = 0;
  looked = nothing();
}, 1000);
process.stdin.on('end', () => process.exit(0)).resume(); // ends with whoever started it
