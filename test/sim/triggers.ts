import type { Deeds } from './deeds.ts';
import type { Life } from './loop.ts';
import type { Fault } from './scenario.ts';
import type { Core } from './world.ts';

/** The id of a message, which stands first in it; no id needs an escape. */
function idOf(text: string): string {
  if (!text.startsWith(ID)) return (JSON.parse(text) as { id: string }).id;
  return text.slice(ID.length, text.indexOf('"', ID.length));
}
const ID = '{"id":"';
const GOOD = '","ok":true';
/** An answer to a person, or one that says that something is wrong inside. */
const isOfPerson = (topic: string, text: string): boolean =>
  topic.endsWith('/replies/person') || text.includes('"internal"');

/** Notices when what a scenario waits for has come: a time, a system call, a command, an answer, a step. */
export function createTriggers(world: Core, deeds: Deeds) {
  const { loop } = world;
  const triggers = new Map<string, Fault[]>();
  const counted = new Map<string, number>();
  const commandOf = new Map<string, string>();
  /** By node, and the number of its system call. */
  const calls = new Map<string, Map<number, Fault[]>>();
  /** Steps that are waited for, each with what a saga's state says when it is in it. */
  const steps = new Map<string, RegExp>();
  let afterTriggers = false;

  function trigger(key: string): void {
    const here = triggers.get(key);
    if (!here) return;
    const n = (counted.get(key) ?? 0) + 1;
    counted.set(key, n);
    for (const { when, deed } of here) if (!('n' in when) || when.n === n) deeds.happen(deed);
  }
  function onSaga(text: string): void {
    for (const [step, isIn] of steps)
      if (isIn.test(text)) {
        steps.delete(step);
        trigger(`step ${step}`);
      }
  }
  function onCommand(node: string, key: string, text: string): void {
    if (world.isLogged || afterTriggers) {
      commandOf.set(idOf(text), key);
      if (world.isLogged) {
        const { cancel } = JSON.parse(text) as { cancel?: boolean };
        world.say(node, `<- ${key.slice(0, key.lastIndexOf('@'))}${cancel ? ' cancel' : ''}`);
      }
    }
    if (triggers.size > 0) trigger(`on ${key}`);
  }
  function onReply(node: string, toPerson: boolean, text: string): void {
    const id = world.isLogged ? undefined : idOf(text);
    if (id !== undefined && text.startsWith(GOOD, ID.length + id.length))
      return trigger(`after ${commandOf.get(id)}`);
    const reply = JSON.parse(text) as { id: string; ok?: boolean; error?: { code: string; message: string } };
    if (reply.ok === undefined) return;
    const { error } = reply;
    if (error?.code === 'internal') world.violate(`${node} has a fault inside: ${error.message}`);
    if (world.isLogged && (!reply.ok || toPerson))
      world.say(node, reply.ok ? 'ok' : `refuses ${commandOf.get(reply.id) ?? ''}: ${error?.message}`);
    if (reply.ok) trigger(`after ${commandOf.get(reply.id)}`);
  }

  return {
    onCall({ node }: Life): void {
      if (calls.size === 0) return;
      for (const { deed } of calls.get(node.name)?.get(node.calls) ?? []) deeds.happen(deed);
    },
    /** What the broker has got. */
    onMessage(topic: string, text: string): void {
      if (topic.startsWith('vs/1/sagas/')) {
        if (steps.size > 0 && topic.endsWith('/state')) onSaga(text);
        return;
      }
      const isCommand = topic.includes('/commands/');
      if (!isCommand && !topic.includes('/replies/')) return;
      const isHeard = world.isLogged || afterTriggers;
      if (isCommand ? !isHeard && triggers.size === 0 : !isHeard && !isOfPerson(topic, text)) return;
      const levels = topic.split('/');
      const isMaster = levels[2] === 'master';
      const node = isMaster ? 'master' : (levels[3] ?? '');
      const [, second = '', third = ''] = isMaster ? levels.slice(3) : levels.slice(4);
      if (isCommand) onCommand(node, `${second}.${third}@${node}`, text);
      else onReply(node, second === 'person', text);
    },
    /** All that shall happen is awaited from now on. */
    expect(faults: Fault[]): void {
      for (const fault of faults) {
        const { when, deed } = fault;
        if (when.kind === 'at') {
          deeds.busy(when.ms);
          loop.after(when.ms, undefined, () => deeds.happen(deed));
          continue;
        }
        if (when.kind === 'call') {
          const here = calls.get(when.node) ?? new Map<number, Fault[]>();
          const number = world.machine(when.node).calls + when.n;
          calls.set(when.node, here.set(number, [...(here.get(number) ?? []), fault]));
          continue;
        }
        const key = when.kind === 'step' ? `step ${when.step}` : `${when.kind} ${when.command}@${when.node}`;
        if (when.kind === 'step')
          steps.set(when.step, new RegExp(`"step":"${when.step}"[^}]*"state":"running"`));
        if (when.kind === 'after') afterTriggers = true;
        triggers.set(key, [...(triggers.get(key) ?? []), fault]);
      }
    },
  };
}
export type Triggers = ReturnType<typeof createTriggers>;
