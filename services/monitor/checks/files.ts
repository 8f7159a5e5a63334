import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { parseMonitor } from '../../../config/monitor.ts';
import { parseHostMonitor } from '../../../config/monitor/host.ts';
import { MOST_CHARACTERS } from '../../../config/monitor/lines.ts';
import { withMonitoring, withPause } from '../../../config/monitor/switch.ts';
import type { Args, Data } from '../../../shared/contract/commands.ts';
import { type Pause, isPaused } from '../../../config/monitor/mend.ts';
import type { MonitorApplied } from '../../../shared/contract/monitor.ts';
import { VsError } from '../../../shared/errors.ts';
import type { Context } from '../../../shared/service.ts';
import { readText, writeFileDurable } from '../../../shared/store.ts';
import type { Watch } from './watch.ts';

const LONGEST_PAUSE_MS = 31 * 86_400_000;

export const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex');

/** Changes of the monitor.conf of this host's vservers: each is checked before it is written, and in force at the next look. */
export function createFiles(
  { bus, host, settings }: Pick<Context, 'bus' | 'host' | 'settings'>,
  watch: Watch,
  hostPause: () => Pause | undefined,
) {
  /** This host has to be the owner, and no saga may be carrying the files away. */
  async function changeable(name: string): Promise<boolean> {
    const { state } = await bus.request(host, 'host-agent.show', { name });
    if (state.epoch === 0)
      throw new VsError('refused', `${host} has files of ${name}, but does not own it: nothing is changed`);
    if (state.saga) {
      const message = `${name} is locked by saga ${state.saga}; see it with: vs saga show ${state.saga}`;
      throw new VsError('conflict', message, { retryable: true });
    }
    return state.pid !== undefined;
  }
  async function read(name: string): Promise<{ file: string; text: string; hash: string }> {
    const file = watch.fileOf(name);
    const text = (await readText(file)) ?? '';
    return { file, text: text.slice(0, MOST_CHARACTERS + 1), hash: hashOf(text) };
  }
  async function change(
    name: string,
    edit: (now: Awaited<ReturnType<typeof read>>) => string,
  ): Promise<MonitorApplied> {
    const running = await changeable(name);
    const now = await read(name);
    const text = edit(now);
    const { enabled, rules } = parseMonitor(text, now.file);
    if (text !== now.text) await writeFileDurable(now.file, text, 0o644);
    watch.again(name);
    return { name, enabled, running, checks: rules.length, hash: hashOf(text) };
  }
  /** Of a vserver, or of all that is on this host. Throws VsError usage when the file has a fault elsewhere. */
  async function pause({ name, until }: Args<'monitor.pause'>): Promise<Data<'monitor.pause'>> {
    if (until !== null && (until <= Date.now() || until > Date.now() + LONGEST_PAUSE_MS))
      throw new VsError('usage', `a pause of mending ends within 31 days from now, not at ${until}`);
    let own: Pause | undefined;
    if (name !== undefined) {
      await change(name, (now) => withPause(now.text, until));
      const { file, text } = await read(name);
      own = parseMonitor(text, file).pause;
    } else {
      const file = join(settings.CONFIG_DIR, 'host-monitor.conf');
      const before = (await readText(file)) ?? '';
      const text = withPause(before, until);
      own = parseHostMonitor(text, file).pause;
      if (text !== before) await writeFileDurable(file, text, 0o644);
    }
    const who = name ?? `all that is on ${host}`;
    const message =
      until === null
        ? `${who} may be mended again`
        : `${who} is not mended until ${new Date(until).toISOString()}`;
    bus.event(
      'monitor',
      until === null ? 'resumed' : 'paused',
      message,
      name === undefined ? {} : { vserver: name },
    );
    const paused = isPaused(own) || (name !== undefined && isPaused(hostPause()));
    return { ...(name === undefined ? {} : { name }), until, paused };
  }
  return {
    read,
    pause,
    save: ({ name, text, hash }: Args<'monitor.save'>) =>
      change(name, (now) => {
        if (now.hash === hash) return text;
        const message = `${now.file} has changed meanwhile, so it is left as it is: read it again`;
        throw new VsError('conflict', message, { details: { hash: now.hash } });
      }),
    start: (name: string) => change(name, (now) => withMonitoring(now.text, true)),
    stop: (name: string) => change(name, (now) => withMonitoring(now.text, false)),
  };
}
