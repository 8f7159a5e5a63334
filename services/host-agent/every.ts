import type { Args, Data } from '../../shared/contract/commands.ts';
import type { EveryVerb } from '../../shared/contract/control.ts';
import type { VserverState } from '../../shared/contract/vserver.ts';
import { toReplyError } from '../../shared/dispatch.ts';
import type { Call, Context } from '../../shared/service.ts';
import { bootOrder, inGroups, stopOrder } from './boot-order.ts';
import type { Commands } from './commands.ts';
import type { Control } from './control.ts';
import { vserverNames } from './files.ts';
import type { States } from './state.ts';

interface Parts {
  context: Context;
  states: States;
  commands: Commands;
  control: Control;
}
type Work = (name: string, timeout: number | undefined) => Promise<VserverState>;

/** Which of them a verb is for; those that it would bring into a state which nobody asked for are left alone. */
const isMeant: Partial<Record<EveryVerb, (state: VserverState['state']) => boolean>> = {
  start: (state) => state !== 'frozen', // who paused it will resume it
  restart: (state) => state !== 'stopped',
  pause: (state) => state === 'running',
  resume: (state) => state === 'frozen',
};

/** Does the same with every vserver that this host owns. One that fails is told, and keeps nobody from their turn. */
export function createEvery({ context, states, commands, control }: Parts) {
  const { settings } = context;
  const works: Record<EveryVerb, Work> = {
    start: (name) => commands.start(name),
    stop: (name, timeout) => commands.stop({ name, timeout }),
    restart: (name, timeout) => commands.restart(name, timeout),
    kill: (name) => commands.stop({ name, force: true }),
    pause: (name) => control.pause(name),
    resume: (name) => control.resume(name),
    enable: (name) => commands.enable(name, true),
    disable: (name) => commands.enable(name, false),
  };
  return async function every(
    { verb, timeout }: Args<'host-agent.every'>,
    call: Call,
  ): Promise<Data<'host-agent.every'>> {
    const done: VserverState[] = [];
    const failed: Data<'host-agent.every'>['failed'] = [];
    const fail = (name: string, error: unknown) => {
      const { code, message } = toReplyError(error);
      failed.push({ name, code, message });
      call.progress({ name, code, error: message });
    };
    const meant: VserverState[] = [];
    for (const name of await vserverNames(settings.VSERVER_DIR)) {
      try {
        const state = await states.of(name);
        if (state.epoch > 0 && (isMeant[verb]?.(state.state) ?? true)) meant.push(state);
      } catch (error) {
        fail(name, error);
      }
    }
    const groups = ['stop', 'kill'].includes(verb) ? stopOrder(meant) : bootOrder(meant);
    const inOrder = ['start', 'stop', 'restart'].includes(verb);
    const parallel = inOrder ? settings.BOOT_PARALLEL : meant.length;
    await inGroups(
      inOrder ? groups : [meant],
      { parallel, signal: call.signal },
      async ({ name, boot, state }) => {
        try {
          const now = await works[verb](name, timeout);
          done.push(now);
          call.progress({ name, state: now });
        } catch (error) {
          fail(name, error);
          return 0;
        }
        const begins = verb === 'restart' || (verb === 'start' && state !== 'running');
        return begins ? (boot?.delay ?? 0) : 0;
      },
    );
    if (call.signal.aborted) throw call.signal.reason as Error;
    return { states: done, failed };
  };
}
