import { join } from 'node:path';
import { parseMonitor } from '../../../config/monitor.ts';
import type { MonitorConfig } from '../../../config/monitor/rule.ts';
import type { Metrics } from '../../../shared/contract/host.ts';
import type { RunningVserver } from '../../../shared/contract/vserver.ts';
import { VsError } from '../../../shared/errors.ts';
import { pathsFor } from '../../../shared/paths.ts';
import type { Context } from '../../../shared/service.ts';
import { lookAtDaemon } from './daemons.ts';
import { detailsOf } from './details.ts';
import type { Keep } from './keep.ts';
import { type Before, guestOf, lookAtFigures } from './look.ts';
import type { DaemonMending } from './mending.ts';
import type { Probe } from './probe.ts';
import { type Subject, openSubject } from './subject.ts';
import { lookAtUpkeep, upkeepChecks } from './upkeep.ts';

/** Missing in so many looks, a second apart, a vserver does not run: at a reboot from inside it is away for one. */
const MISSED = 3;
/** After the start of the agent nobody is missed yet for so long: the host has to see first who runs. */
const SETTLE_MS = 10_000;

/** No daemon can be called so. */
const UPKEEP = '/upkeep';
const UPKEEP_MS = 600_000;

interface Watched {
  subject: Subject;
  before: Before;
  due: number;
  busy: boolean;
  /** Daemons whose look has not ended: none is looked at twice at once. */
  looking: Set<string>;
  /** Daemons that are looked at before the next poll, and when: what was done for them may have helped. */
  again: Map<string, number>;
  missed: number;
  /** The look at certificates and packages: when it is due, by which rules. */
  upkeep: { due: number; config?: MonitorConfig };
  /** The figures of the poll before. */
  figures?: Metrics | undefined;
}

/** One that is frozen or carried away answers nobody: what was said of it stands until it runs on. */
const isFree = ({ saga, state }: RunningVserver) =>
  saga === undefined && (state === undefined || state === 'running');

/** Watches the vservers that run: each by its own file, in its own time; none waits for another. */
export function createWatch(
  context: Context,
  keep: Keep,
  probe: Probe,
  figuresOf: (vserver: RunningVserver, before: Metrics | undefined) => Promise<Metrics | undefined>,
  mender: DaemonMending,
) {
  const { bus, host, settings, log } = context;
  const paths = pathsFor(settings);
  const watched = new Map<string, Watched>();
  const begun = performance.now();

  const fileOf = (name: string) => join(paths.vserver(name), 'monitor.conf');
  async function open(name: string): Promise<Watched> {
    const subject = await openSubject(context, keep, name, {
      name,
      vserver: name,
      title: name,
      file: fileOf(name),
      parse: parseMonitor,
      more: mender.tell(name),
    });
    const one = {
      subject,
      before: { fills: [] },
      due: 0,
      busy: false,
      looking: new Set<string>(),
      again: new Map<string, number>(),
      missed: 0,
      upkeep: { due: 0 },
    };
    watched.set(name, one);
    return one;
  }

  const detailsFor = ({ subject, before }: Watched, { pid }: RunningVserver) =>
    detailsOf(pid, () => ({
      diff: subject.kept.usual?.change?.diff ?? [],
      now: before.sockets?.names ?? [],
    }));

  function lookAtDaemons(one: Watched, vserver: RunningVserver, only?: readonly string[]): void {
    const guest = guestOf(vserver);
    const { config } = one.subject;
    for (const daemon of config.enabled ? config.daemons : []) {
      if (one.looking.has(daemon.name) || (only && !only.includes(daemon.name))) continue;
      one.again.delete(daemon.name);
      one.looking.add(daemon.name);
      void lookAtDaemon(daemon, guest, { bus, host, probe })
        .then(async (reading) => {
          // a change of the file, or the end of the vserver, has come before the answer
          const isNews =
            one.subject.config === config && watched.get(vserver.name) === one && one.missed === 0;
          if (!isNews || !reading) return;
          one.subject.take({ [`daemon-${daemon.name}`]: reading }, detailsFor(one, vserver));
          const wait = await mender.after(one.subject, vserver, daemon, reading);
          if (wait !== undefined) one.again.set(daemon.name, performance.now() + wait);
        })
        .catch((error: unknown) => log.warn({ vserver: vserver.name, error: String(error) }, 'monitor'))
        .finally(() => one.looking.delete(daemon.name));
    }
  }

  /** Seldom, and beside the others: it reads files of the guest, and a disk may hang. */
  function lookAtFiles(one: Watched, vserver: RunningVserver): void {
    const { config } = one.subject;
    const isDue = performance.now() >= one.upkeep.due || one.upkeep.config !== config;
    if (!isDue || one.looking.has(UPKEEP) || !config.rules.some(({ check }) => upkeepChecks.includes(check)))
      return;
    one.looking.add(UPKEEP);
    one.upkeep = { due: performance.now() + UPKEEP_MS, config };
    void lookAtUpkeep(config, vserver, paths.rootfs(vserver.name))
      .then((readings) => {
        if (one.subject.config === config && watched.get(vserver.name) === one && one.missed === 0)
          one.subject.take(readings);
      })
      .catch((error: unknown) => log.warn({ vserver: vserver.name, error: String(error) }, 'monitor'))
      .finally(() => one.looking.delete(UPKEEP));
  }

  async function poll(one: Watched, vserver: RunningVserver): Promise<void> {
    const { subject, before } = one;
    await subject.reread();
    one.due = performance.now() + subject.config.pollSeconds * 1000;
    if (!isFree(vserver)) return;
    if (!subject.config.enabled || subject.rules.length === 1) return subject.take({});
    const figures = await figuresOf(vserver, one.figures);
    if (!figures) return;
    one.figures = figures;
    // begun first: it counts sockets, and the connections of our own looks are none of them
    const readings = lookAtFigures(subject.config, vserver, figures, subject.kept, before);
    lookAtDaemons(one, vserver);
    lookAtFiles(one, vserver);
    subject.take(await readings, detailsFor(one, vserver));
  }

  async function forget(name: string, one: Watched): Promise<void> {
    watched.delete(name);
    await one.subject.end();
    await bus.request(host, 'host-agent.show', { name }).catch((error: unknown) => {
      if (error instanceof VsError && error.code === 'not-found') return keep.remove(name);
      return undefined;
    });
  }

  return {
    fileOf,
    of: (name: string) => watched.get(name),
    /** What was known when the agent ended: what fires is told again as it was. */
    async begin(names: string[]): Promise<void> {
      for (const name of names) await open(name);
    },
    /** A look each second: who runs, and who is due. */
    async look(running: readonly RunningVserver[]): Promise<void> {
      const now = performance.now();
      for (const vserver of running) {
        const one = watched.get(vserver.name) ?? (await open(vserver.name));
        one.missed = 0;
        const again = [...one.again].filter(([, at]) => now >= at).map(([daemon]) => daemon);
        if (again.length > 0 && isFree(vserver)) lookAtDaemons(one, vserver, again);
        if (one.busy || (now < one.due && !one.subject.isChanged())) continue;
        one.busy = true;
        void poll(one, vserver)
          .catch((error: unknown) => log.warn({ vserver: vserver.name, error: String(error) }, 'monitor'))
          .finally(() => (one.busy = false));
      }
      if (now - begun < SETTLE_MS) return;
      const names = new Set(running.map(({ name }) => name));
      for (const [name, one] of watched)
        if (!names.has(name) && !mender.isRestarting(name) && ++one.missed >= MISSED)
          void forget(name, one).catch((error: unknown) =>
            log.warn({ vserver: name, error: String(error) }, 'monitor'),
          );
    },
    /** Its file has changed by a command: the next look is due at once. */
    again: (name: string): void => {
      const one = watched.get(name);
      if (one) one.due = 0;
    },
  };
}
export type Watch = ReturnType<typeof createWatch>;
