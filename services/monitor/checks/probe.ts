import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Endpoint } from '../../../config/monitor/daemon.ts';
import { start } from '../../../shared/run.ts';

const program = fileURLToPath(new URL('probe.pl', import.meta.url));
/** The helper keeps the deadlines; without an answer so long after one it hangs itself. */
const GRACE_MS = 5000;

/** What came of one look: connected, a status of HTTP, or why not. Unknown: that was our own trouble, and says nothing of it. */
export type Answer = { ok: true; status?: number } | { ok: false; why: string; unknown?: true };
interface Waiting {
  end: (answer: Answer) => void;
  timer: NodeJS.Timeout;
}

function answerOf(word: string, more: string): Answer {
  if (word === 'ok') return { ok: true };
  if (word === 'status') return { ok: true, status: Number(more) };
  if (word === 'refused') return { ok: false, why: 'the connection was refused' };
  if (word === 'timeout')
    return {
      ok: false,
      why: more === 'connected' ? 'connected, but no answer came' : 'no connection came about',
    };
  if (word === 'closed') return { ok: false, why: 'the connection was closed before an answer' };
  const why = more.slice(0, 200) || 'no answer';
  return { ok: false, why, ...(word === 'unknown' ? { unknown: true as const } : {}) };
}

/**
 * Connects in the network namespaces of vservers. One small helper does that for all of them, begun with the first look: a
 * process for each would cost a hundred times as much.
 */
export function openProbe() {
  const waiting = new Map<string, Waiting>();
  let helper: ChildProcess | undefined;
  let number = 0;

  function finish(id: string, answer: Answer): void {
    const one = waiting.get(id);
    if (!one) return;
    clearTimeout(one.timer);
    waiting.delete(id);
    one.end(answer);
  }
  function lost(child: ChildProcess): void {
    if (helper !== child) return;
    helper = undefined;
    for (const id of waiting.keys())
      finish(id, { ok: false, why: 'the helper for connections has ended', unknown: true });
  }
  function begin(): ChildProcess {
    const child = start(['perl', program], { stdio: ['pipe', 'pipe', 'ignore'] });
    let pending = '';
    child.stdin?.on('error', () => undefined); // its end is heard below
    child.stdout?.on('data', (data: Buffer) => {
      const lines = `${pending}${data.toString('latin1')}`.split('\n');
      pending = lines.pop() ?? '';
      for (const line of lines) {
        const [id = '', word = '', more = ''] = line.split('\t');
        finish(id, answerOf(word, more));
      }
    });
    child.once('error', () => lost(child));
    child.once('close', () => lost(child));
    return child;
  }

  return {
    /** In the namespace of the process `pid`, within `timeoutMs`; `http`: ask for that path, and wait for its status. */
    look(
      pid: number,
      to: Endpoint,
      timeoutMs: number,
      http?: { host: string; path: string },
    ): Promise<Answer> {
      helper ??= begin();
      const child = helper;
      const id = String(++number);
      const words = [id, pid, timeoutMs, to.address, to.port, http ? `${http.host} ${http.path}` : ''];
      return new Promise((end) => {
        const timer = setTimeout(() => {
          child.kill('SIGKILL');
          finish(id, { ok: false, why: 'the helper for connections does not answer', unknown: true });
        }, timeoutMs + GRACE_MS);
        waiting.set(id, { end, timer });
        child.stdin?.write(`${words.join('\t')}\n`);
      });
    },
    close: () => void helper?.stdin?.end(),
  };
}
export type Probe = ReturnType<typeof openProbe>;
