import { isPaused } from '../../../config/monitor/mend.ts';
import type { Alert } from '../../../shared/contract/host.ts';
import type { Context } from '../../../shared/service.ts';
import { limitText } from '../../../shared/limits.ts';
import { memoryOf } from '../cgroup.ts';
import type { Kept } from '../checks/keep.ts';
import type { HostMending } from '../checks/mending.ts';
import type { Subject } from '../checks/subject.ts';
import { type Candidate, nextToPress, stillPressed, wishesOf } from './pressure.ts';

const PRESSURE = 'pressure';

const namesOf = (wishes: Kept['wishes'] = []) => wishes.map(({ name }) => name).join(' ');

/** An alert of pressure with who is held back for it, and whom the master is asked to move away. */
export function withPressed(alert: Alert, check: string, { pressed, wishes = [] }: Kept): Alert {
  const all = Object.entries(pressed ?? {}).map(
    ([name, { bytes }]) => `${name} at ${limitText('bytes', bytes)}`,
  );
  if (check !== PRESSURE) return alert;
  const held = all.length > 0 ? `; held back: ${all.join(', ')}` : '';
  const asked =
    wishes.length > 0
      ? `; one of these shall move away, if another host has room: ${wishes.map(({ name }) => name).join(', ')}`
      : '';
  if (held + asked === '') return alert;
  return {
    ...alert,
    message: `${alert.message}${held}${asked}`.slice(0, 2000),
    ...(wishes.length > 0 ? { evacuate: wishes } : {}),
  };
}

/** Holds the memory of vservers back while that of the host is short, and lets it go when it is not: one thing a look. */
export function createPresser({ bus, host, log }: Pick<Context, 'bus' | 'host' | 'log'>): HostMending {
  let busy = false;

  async function candidates(): Promise<Candidate[]> {
    const { vservers } = await bus.request(host, 'host-agent.list', {});
    return vservers.flatMap(({ name, pid, boot, state, epoch, saga }) => {
      const memory = pid === undefined ? undefined : memoryOf(pid);
      if (pid === undefined || memory === undefined) return [];
      if (state !== 'running' || epoch === 0 || saga !== undefined) return [];
      return [{ name, pid, order: boot?.order, memory }];
    });
  }
  const event = (name: string, what: string, message: string) =>
    bus.event('monitor', what, message, { vserver: name });

  async function step(subject: Subject): Promise<void> {
    const { kept, config } = subject;
    const fires = config.pressure !== undefined && kept.checks[PRESSURE]?.firing !== undefined;
    if (!fires && !kept.pressed && !kept.wishes) return;
    const running = await candidates();
    const pressed = stillPressed(kept.pressed ?? {}, running);
    if (!fires) {
      for (const name of Object.keys(pressed)) {
        await bus.request(host, 'host-agent.press', { name, bytes: null });
        event(name, 'let-go', `${name} may use its memory again: ${host} has enough`);
      }
      delete kept.pressed;
      delete kept.wishes;
      return subject.retell();
    }
    const { spare, evacuates } = config.pressure ?? {};
    const before = namesOf(kept.wishes);
    const paused = isPaused(config.pause);
    const wishes = evacuates && !paused ? wishesOf(running, spare) : [];
    // what each uses changes at every look, and is told anew only with their order
    if (wishes.length === 0) delete kept.wishes;
    else if (namesOf(wishes) !== before) kept.wishes = wishes;
    const isNews = namesOf(kept.wishes) !== before;
    const next = paused ? undefined : nextToPress(running, pressed, spare);
    kept.pressed = pressed;
    if (!next) return subject.retell(isNews ? PRESSURE : undefined);
    const { name, ...how } = next;
    kept.pressed = { ...pressed, [name]: how };
    await subject.retell(PRESSURE); // known before it is done, so that it is undone in any case
    await bus.request(host, 'host-agent.press', { name, bytes: how.bytes });
    const size = limitText('bytes', how.bytes);
    event(name, 'held-back', `${name} is slowed down above ${size} of memory, for ${host} has too little`);
  }
  return {
    check: PRESSURE,
    tell: withPressed,
    async after(subject: Subject): Promise<void> {
      if (busy) return;
      busy = true;
      await step(subject)
        .catch((error: unknown) => log.warn({ error: String(error) }, 'pressure'))
        .finally(() => (busy = false));
    },
  };
}
