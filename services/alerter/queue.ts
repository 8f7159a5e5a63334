import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import {
  clearTemporaries,
  readJson,
  removeFileDurable,
  renameDurable,
  writeJson,
} from '../../shared/store.ts';

/** One message as it lies on disk, ready to be sent. */
export const queued = z.strictObject({
  version: z.literal(1),
  seq: z.int(),
  channel: z.string(),
  messageId: z.string(), // stable: who gets it twice can see that
  references: z.array(z.string()),
  date: z.number(),
  subject: z.string(),
  text: z.string(),
  html: z.string(),
  /** Images inside the HTML part: content id and PNG in base64. */
  images: z.array(z.strictObject({ cid: z.string(), png: z.string() })),
  severity: z.enum(['warning', 'critical']),
  /** What webhooks and programs get. */
  data: z.record(z.string(), z.unknown()),
});
export type Queued = z.infer<typeof queued>;

/** How one attempt went: `later`: try again; `refused`: never. `down`: nobody can be reached this way now. */
export type Outcome = { result: 'sent' } | { result: 'later' | 'refused'; error: string; down?: boolean };

const FIRST_MS = 5000;
const LAST_MS = 300_000;
const nameOf = (seq: number): string => `${String(seq).padStart(12, '0')}.json`;
/** The way of a channel: when it is down, it is down for all. */
const wayOf = (channel: string): string => (channel.startsWith('mail:') ? 'mail' : channel);

/**
 * Messages in DIRECTORY/queue, each a file, sent in their order for each channel. What is refused goes to DIRECTORY/refused.
 * A message is lost never, and sent twice only when the process dies after the other side took it and before its file is gone.
 */
export function openQueue(options: {
  directory: string;
  send: (one: Queued) => Promise<Outcome>;
  told: (facts: {
    waiting: number;
    error?: string | undefined;
    refused?: { one: Queued; error: string };
  }) => void;
  retryMs?: number;
}) {
  const { directory, send, told, retryMs = FIRST_MS } = options;
  const [waitingDir, refusedDir] = [join(directory, 'queue'), join(directory, 'refused')];
  let waiting: { seq: number; channel: string }[] = [];
  const staged = new Map<number, string>();
  const taken = new Set<number>();
  const blocked = new Map<string, { until: number; tries: number; error: string }>();
  let working: Promise<void> | undefined;
  let again = false;
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  const worst = () => [...blocked.values()].toSorted((a, b) => b.tries - a.tries)[0];
  const tell = (refused?: { one: Queued; error: string }) => {
    const one = worst();
    told({
      waiting: waiting.length,
      error: one && one.tries >= 3 ? one.error : undefined,
      ...(refused ? { refused } : {}),
    });
  };

  async function setAside(file: string): Promise<void> {
    await mkdir(refusedDir, { recursive: true, mode: 0o700 });
    await renameDurable(join(waitingDir, file), join(refusedDir, file));
  }
  /** Sends the first message of a channel; false when the channel has to wait. */
  async function attempt({ seq, channel }: { seq: number; channel: string }): Promise<boolean> {
    const file = nameOf(seq);
    const drop = () => (waiting = waiting.filter((one) => one.seq !== seq));
    let one: Queued | undefined;
    try {
      one = await readJson(join(waitingDir, file), queued);
    } catch {
      await setAside(file); // damaged: it lies where a person can look at it
      drop();
      return true;
    }
    if (!one) {
      drop();
      return true;
    }
    // sent, but its file could not be removed then: it is not sent again
    const outcome: Outcome = taken.has(seq)
      ? { result: 'sent' }
      : await send(one).catch((error: unknown): Outcome => ({
          result: 'later',
          error: error instanceof Error ? error.message : String(error),
        }));
    if (outcome.result === 'later') {
      if (stopped) return false;
      const key = outcome.down ? wayOf(channel) : channel;
      const tries = (blocked.get(key)?.tries ?? 0) + 1;
      blocked.set(key, {
        until: Date.now() + Math.min(LAST_MS, retryMs * 2 ** Math.min(tries - 1, 10)),
        tries,
        error: outcome.error,
      });
      return false;
    }
    blocked.delete(wayOf(channel));
    blocked.delete(channel);
    if (outcome.result === 'sent') taken.add(seq);
    if (outcome.result === 'sent') await removeFileDurable(join(waitingDir, file));
    else await setAside(file);
    taken.delete(seq);
    drop();
    tell(outcome.result === 'refused' ? { one, error: outcome.error } : undefined);
    return true;
  }
  async function work(): Promise<void> {
    const held = new Set<string>(); // channels whose first message has to wait, in this round
    for (const one of waiting) {
      if (stopped) return;
      if (held.has(one.channel)) continue;
      const until = Math.max(
        0,
        ...[one.channel, wayOf(one.channel)].map((key) => blocked.get(key)?.until ?? 0),
      );
      if (until > Date.now() || !(await attempt(one))) held.add(one.channel);
    }
    tell();
  }
  function kick(): void {
    if (stopped) return;
    if (working) {
      again = true;
      return;
    }
    clearTimeout(timer);
    again = false;
    working = work()
      .catch((error: unknown) =>
        told({ waiting: waiting.length, error: error instanceof Error ? error.message : String(error) }),
      )
      .finally(() => {
        working = undefined;
        if (stopped) return;
        if (again) return kick();
        if (waiting.length === 0) return;
        const next = Math.min(...[...blocked.values()].map(({ until }) => until), Date.now() + LAST_MS);
        timer = setTimeout(kick, Math.max(retryMs / 10, next - Date.now())).unref();
      });
  }

  return {
    /** Takes what a former life left. Sends nothing yet. */
    async load(): Promise<void> {
      await mkdir(waitingDir, { recursive: true, mode: 0o700 });
      await clearTemporaries(waitingDir);
      for (const file of (await readdir(waitingDir)).filter((one) => /^\d{12}\.json$/.test(one)).toSorted()) {
        const one = await readJson(join(waitingDir, file), queued).catch(() => undefined);
        if (one) waiting.push({ seq: one.seq, channel: one.channel });
        else await setAside(file);
      }
    },
    /** Writes a message; again with the same seq it is the same file. It is sent after `commit` only: until then it may be written again. */
    async add(one: Queued): Promise<void> {
      await writeJson(join(waitingDir, nameOf(one.seq)), queued, one);
      staged.set(one.seq, one.channel);
    },
    /** What was written may be sent: nobody will write it again. */
    commit(): void {
      const known = new Set(waiting.map(({ seq }) => seq));
      for (const [seq, channel] of staged) if (!known.has(seq)) waiting.push({ seq, channel });
      staged.clear();
      waiting.sort((a, b) => a.seq - b.seq);
    },
    kick,
    waiting: () => waiting.length,
    error: () => worst()?.error,
    refused: async () => (await readdir(refusedDir).catch(() => [] as string[])).length,
    refusedDir,
    async stop(): Promise<void> {
      stopped = true;
      clearTimeout(timer);
      await working;
    },
  };
}
export type Queue = ReturnType<typeof openQueue>;
