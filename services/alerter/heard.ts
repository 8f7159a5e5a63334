import { type Alert, alert, status } from '../../shared/contract/host.ts';
import { type VserverState, vserverState } from '../../shared/contract/vserver.ts';
import { openHeard } from '../../shared/heard.ts';
import type { Context } from '../../shared/service.ts';
import type { Firing } from './decide.ts';

const LIMIT = 20_000;
/** So many addresses may the alerts of one host name within a day: a host that is not itself any more must not mail the world. */
const ADDRESSES = 50;
/** An address counts so long after it was named last. */
const ADDRESS_MS = 24 * 3_600_000;

/** The host that an alert is about: who says it, or for what the master says, where the vserver lives. */
function hostOf(target: string, subject: string, homes: Map<string, string>, hosts: Set<string>): string {
  if (target !== 'master') return target;
  return hosts.has(subject) ? subject : (homes.get(subject) ?? 'master');
}

/** A user's name alone is only for a mail system of our own; what is no address at all is left out. */
const isAddress = (one: string, local: boolean): boolean =>
  one.length <= 254 &&
  /^[A-Za-z0-9_][A-Za-z0-9._%+=~-]{0,63}(@[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?)?$/.test(one) &&
  (local || one.includes('@'));

/**
 * Takes the addresses that alerts bring along: right ones, sorted, each once in an alert, and not too many for a host. `local`:
 * mail goes to a mail system of this machine, which knows its users by name.
 */
export function openMailto(local: boolean) {
  const known = new Map<string, Map<string, number>>();
  return (target: string, { mailto = [] }: Pick<Alert, 'mailto'>, now = Date.now()): string[] => {
    if (target === 'master' || mailto.length === 0) return [];
    const seen = known.get(target) ?? new Map<string, number>();
    known.set(target, seen);
    for (const [one, at] of seen) if (now - at > ADDRESS_MS) seen.delete(one);
    const right = [...new Set(mailto)].filter((one) => isAddress(one, local)).toSorted();
    for (const one of right) if (seen.has(one) || seen.size < ADDRESSES) seen.set(one, now);
    return right.filter((one) => seen.has(one));
  };
}

/** Texts that an alert brings beside its sentence (`details`: a text, or texts by their title), for the mail. */
export function detailsOf(one: Alert): string {
  const { details } = one as { details?: unknown };
  if (typeof details === 'string') return details.slice(0, 20_000);
  if (typeof details !== 'object' || details === null) return '';
  return Object.entries(details)
    .filter((pair): pair is [string, string] => typeof pair[1] === 'string')
    .slice(0, 8)
    .map(([title, text]) => `${title.slice(0, 100)}:\n${text.slice(0, 20_000)}`)
    .join('\n\n');
}

/** Hears alerts, hosts and vservers of the pool. */
export async function openPool({ bus }: Pick<Context, 'bus'>, options: { repeatMs: number; local: boolean }) {
  const { topics } = bus;
  const mailtoOf = openMailto(options.local);
  const heard = { limit: LIMIT, repeatMs: options.repeatMs };
  const ofHosts = await openHeard(bus, topics.alert('+', '+', '+'), alert, heard);
  const ofMaster = await openHeard(bus, topics.alert('master', '+', '+'), alert, heard);
  const hosts = await openHeard(bus, topics.all.hostStatus, status, heard);
  const vservers = await openHeard(bus, topics.all.vserverState, vserverState, heard);
  /** Each vserver once: where its owner is. */
  function owners(): VserverState[] {
    const found = new Map<string, VserverState>();
    for (const { value } of vservers.all())
      if (value.epoch > (found.get(value.name)?.epoch ?? 0)) found.set(value.name, value);
    return [...found.values()];
  }
  return {
    hosts: () =>
      hosts.all().map(({ topic, value }) => ({
        host: topic.split('/').at(-2) ?? '',
        online: value.state === 'online',
      })),
    owners,
    firing(): Firing[] {
      const names = new Set(hosts.all().map(({ topic }) => topic.split('/').at(-2) ?? ''));
      const homes = new Map(owners().map((one) => [one.name, one.host]));
      return [...ofHosts.all(), ...ofMaster.all()].map(({ topic, value }) => {
        const levels = topic.split('/');
        const [subject = '', check = ''] = levels.slice(-2);
        const scope = levels.at(-4) ?? '';
        const target = levels.at(-5) === 'hosts' ? scope : 'master';
        const mailto = mailtoOf(target, value);
        return {
          target,
          subject,
          check,
          host: hostOf(target, subject, homes, names),
          severity: value.severity,
          message: value.message,
          ...(mailto.length > 0 ? { mailto } : {}),
        };
      });
    },
    details(one: { target: string; subject: string; check: string }): string {
      const topic = topics.alert(one.target, one.subject, one.check);
      const value = (one.target === 'master' ? ofMaster : ofHosts).get(topic);
      return value ? detailsOf(value) : '';
    },
    close: () => Promise.all([ofHosts, ofMaster, hosts, vservers].map((one) => one.close())),
  };
}
export type Pool = Awaited<ReturnType<typeof openPool>>;
