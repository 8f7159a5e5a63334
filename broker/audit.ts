import { randomBytes } from 'node:crypto';
import { topicsFor } from '../shared/contract/topics.ts';
import type { Identity } from './access.ts';
import { openAuditFile } from './audit-file.ts';
import { readCommand, readResult } from './audit-line.ts';

/** After this a command that was not answered is written down as open, so that a broker that dies leaves a trace of it. */
const OPEN_MS = 2000;
const HOUR = 3_600_000;
const MOST_OPEN = 10_000;

interface Line {
  /** Unique; of two lines with the same one the later counts. */
  n: string;
  ts: number;
  user: string;
  from: string;
  clientId: string;
  target: string;
  command: string;
  id?: string | undefined;
  args: Record<string, unknown>;
  result: string;
  message?: string;
}
interface Open {
  line: Line;
  replyTo: string;
  written: boolean;
}

/**
 * Who commanded what, and how it ended: one line for each message on a command topic, written when its reply passes (or
 * after an hour, or at once when there will be none); one that takes long has a line `open` before. The handler of a
 * message only puts it into memory.
 */
export function openAudit(options: {
  file: string;
  base: string;
  onFault: (message: string) => void;
  full?: number;
  wait?: number;
}) {
  const { base, wait = HOUR } = options;
  const file = openAuditFile({ full: 10_000_000, keep: 5, ...options });
  const topics = topicsFor(base);
  const commandTopic = new RegExp(`^${base}/(?:hosts/([^/]+)|(master))/commands/([^/]+)/([^/]+)$`);
  const life = randomBytes(4).toString('hex');
  /** By where the reply is to come, in order. */
  const open = new Map<string, Set<Open>>();
  const work: (() => void)[] = [];
  let count = 0;
  let waiting = 0;

  const write = (line: Line) => file.add(`${JSON.stringify(line)}\n`);
  function forget(one: Open): void {
    const all = open.get(one.replyTo);
    all?.delete(one);
    if (all?.size === 0) open.delete(one.replyTo);
    waiting--;
  }
  function end(one: Open, how: { result: string; message?: string }): void {
    forget(one);
    write({ ...one.line, ...how });
  }
  function later(what: () => void): void {
    if (work.push(what) === 1) setImmediate(drain);
  }
  function drain(): void {
    for (const what of work.splice(0)) what();
  }

  const timer = setInterval(
    () => {
      const now = Date.now();
      for (const one of [...open.values()].flatMap((all) => [...all])) {
        const age = now - one.line.ts;
        if (age >= wait) end(one, { result: 'none' });
        else if (age >= OPEN_MS && !one.written) {
          one.written = true;
          write(one.line);
        }
      }
    },
    Math.min(1000, wait),
  ).unref();

  return {
    /** A message was published on a topic; `refused`: and was not let through. Any but commands are left alone. */
    command(who: Identity, topic: string, payload: Buffer | string, refused: boolean): void {
      const match = topic.includes('/commands/') && commandTopic.exec(topic);
      if (!match) return;
      const ts = Date.now();
      later(() => {
        const [, host, master, service = '', command = ''] = match;
        const target = (host ?? master ?? '').slice(0, 64);
        const { replyTo, ...said } = readCommand(payload.toString());
        const line: Line = {
          n: `${life}-${++count}`,
          ts,
          user: who.name,
          from: who.address ?? '',
          clientId: who.clientId.slice(0, 100),
          target,
          command: `${service}.${command}`.slice(0, 100),
          ...said,
          result: 'open',
        };
        if (refused) return write({ ...line, result: 'refused' });
        // The target answers its own reply topics only.
        if (!replyTo?.startsWith(topics.reply(target, ''))) return write({ ...line, result: 'none' });
        if (++waiting > MOST_OPEN) {
          const oldest = open.values().next().value?.values().next().value;
          if (oldest) end(oldest, { result: 'none' });
        }
        open.set(replyTo, (open.get(replyTo) ?? new Set()).add({ line, replyTo, written: false }));
      });
    },
    /** A message that was let through may be the reply to a command. */
    reply(topic: string, payload: Buffer | string): void {
      if (!topic.includes('/replies/')) return;
      later(() => {
        const all = open.get(topic);
        const how = all && readResult(payload.toString());
        if (!all || !how) return;
        const { id, ...result } = how;
        const same = [...all].filter((one) => one.line.id === id);
        const nameless = [...all].find((one) => one.line.id === undefined); // its id was given by the target
        for (const one of same.length > 0 ? same : nameless ? [nameless] : []) end(one, result);
      });
    },
    async close(): Promise<void> {
      clearInterval(timer);
      drain();
      for (const one of [...open.values()].flatMap((all) => [...all]))
        end(one, { result: 'none', message: 'the broker ended' });
      await file.close();
    },
  };
}
export type Audit = ReturnType<typeof openAudit>;
