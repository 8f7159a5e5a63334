import type { Daemon } from '../../../config/monitor/daemon.ts';
import { type Pause, isPaused } from '../../../config/monitor/mend.ts';
import type { Alert } from '../../../shared/contract/host.ts';
import type { RunningVserver } from '../../../shared/contract/vserver.ts';
import type { Context } from '../../../shared/service.ts';
import type { Reading } from '../checks/evaluate.ts';
import type { Kept } from '../checks/keep.ts';
import type { DaemonMending } from '../checks/mending.ts';
import type { Subject } from '../checks/subject.ts';
import { type Try, decide, nothingMended, remembered } from './decide.ts';
import { isLeft, restartDaemon } from './restart.ts';
import { withStory } from './story.ts';

/** So long after something was done (ms) it is looked at whether it helped. */
const AFTER_MS = 3000;
/** What one stop may take at most, and a start. */
const VSERVER_MS = 700_000;
const checkOf = (daemon: string) => `daemon-${daemon}`;

/** Restarts daemons that are not well, then their vserver, then gives up; one thing at a time in a vserver. */
export function createMender(
  { bus, host, log }: Pick<Context, 'bus' | 'host' | 'log'>,
  hostPause: () => Pause | undefined,
): DaemonMending {
  const busy = new Set<string>();
  const restarting = new Set<string>();
  /** What is left alone, by vserver and daemon, and why. */
  const left = new Map<string, string>();

  /** May anything be done there now? Asked at once before it is done: the last look is a second old. */
  async function isFree({ name, pid }: RunningVserver): Promise<{ enabled: boolean } | undefined> {
    const { state } = await bus.request(host, 'host-agent.show', { name });
    const isOurs = state.epoch > 0 && state.saga === undefined;
    return isOurs && state.state === 'running' && state.pid === pid ? state : undefined;
  }
  /** Does it, and keeps what came of it: before it begins, and when it is over. */
  async function carryOut(
    subject: Subject,
    name: string,
    daemon: Daemon,
    what: string,
    one: Try,
    work: () => Promise<string | undefined>,
  ): Promise<void> {
    const { kept } = subject;
    kept.mended = { ...(kept.mended ?? nothingMended()), tries: [...(kept.mended?.tries ?? []), one] };
    await subject.retell();
    const failed = await work().catch((error: unknown) =>
      (error instanceof Error ? error.message : String(error)).slice(0, 200),
    );
    one.ended = Date.now();
    if (failed !== undefined) one.failed = failed;
    await subject.retell(checkOf(daemon.name));
    const words = failed === undefined ? 'was restarted' : `could not be restarted: ${failed}`;
    const message = `${what} ${words}, for ${daemon.name} was not well`;
    bus.event('monitor', failed === undefined ? 'mended' : 'failed', message, { vserver: name });
  }
  /** It is left alone: its alert says why, once. */
  async function leave(subject: Subject, name: string, daemon: Daemon, why: string): Promise<undefined> {
    if (left.get(`${name} ${daemon.name}`) === why) return;
    left.set(`${name} ${daemon.name}`, why);
    await subject.retell(checkOf(daemon.name));
  }
  async function mend(
    subject: Subject,
    vserver: RunningVserver,
    daemon: Daemon,
    reading: Reading,
  ): Promise<number | undefined> {
    const { mend: plan } = daemon;
    if (!plan) return undefined;
    const { name, pid } = vserver;
    const { kept } = subject;
    const now = Date.now();
    const check = checkOf(daemon.name);
    const fires = kept.checks[check]?.firing !== undefined;
    const found = { now, pid, fires, isBad: (reading.value ?? 0) >= 1 };
    if (!found.isBad) left.delete(`${name} ${daemon.name}`);
    if (!fires && !kept.mended) return undefined;
    kept.mended = remembered(kept.mended ?? nothingMended(), daemon.name, found);
    const { tries, gaveUp } = kept.mended;
    if (tries.length === 0 && Object.keys(gaveUp).length === 0) delete kept.mended;
    const wanted = { daemon: daemon.name, alone: plan.restart !== undefined, ...plan };
    const known = kept.mended ?? nothingMended();
    const decision = decide(known, wanted, found);
    if (decision.do === 'later') return decision.at - now;
    if (decision.do === 'nothing') return undefined;
    if ([subject.config.pause, hostPause()].some((one) => isPaused(one, new Date(now))))
      return leave(subject, name, daemon, 'not restarted while mending is paused');
    const free = await isFree(vserver);
    if (!free) return undefined;
    // to stop and start one that a person has disabled is nobody's wish
    const isLast = decision.do === 'vserver' && !free.enabled;
    if (decision.do === 'give-up' || isLast) {
      kept.mended = { ...known, gaveUp: { ...known.gaveUp, [daemon.name]: { ts: now, pid } } };
      await subject.retell(check);
      bus.event('monitor', 'gave-up', `${daemon.name} of ${name} is still not well: it is given up`, {
        vserver: name,
      });
      return undefined;
    }
    if (decision.do === 'vserver') {
      restarting.add(name);
      try {
        await carryOut(subject, name, daemon, name, { ts: now }, async () => {
          await bus.request(host, 'host-agent.restart', { name, pid }, { timeoutMs: VSERVER_MS });
          return undefined;
        });
      } finally {
        restarting.delete(name);
      }
      return AFTER_MS;
    }
    const how = plan.restart;
    if (!how) return undefined;
    const why = await isLeft({ bus, host }, name, how);
    if (why !== undefined) return leave(subject, name, daemon, why);
    left.delete(`${name} ${daemon.name}`);
    const one = { ts: now, daemon: daemon.name };
    await carryOut(subject, name, daemon, `${daemon.name} in ${name}`, one, () =>
      restartDaemon({ bus, host }, name, how),
    );
    return AFTER_MS;
  }

  return {
    isRestarting: (name: string): boolean => restarting.has(name),
    async after(
      subject: Subject,
      vserver: RunningVserver,
      daemon: Daemon,
      reading: Reading,
    ): Promise<number | undefined> {
      const { name } = vserver;
      if (!daemon.mend) return undefined;
      if (busy.has(name)) return AFTER_MS;
      busy.add(name);
      try {
        return await mend(subject, vserver, daemon, reading);
      } catch (error) {
        log.warn({ vserver: name, daemon: daemon.name, error: String(error) }, 'mending');
        return undefined;
      } finally {
        busy.delete(name);
      }
    },
    /** An alert of a daemon with what was done about it. */
    tell: (name: string) => (alert: Alert, check: string, kept: Kept) => {
      const daemon = /^daemon-(.*)$/.exec(check)?.[1];
      if (daemon === undefined) return alert;
      return withStory(alert, kept.mended ?? nothingMended(), daemon, left.get(`${name} ${daemon}`));
    },
  };
}
