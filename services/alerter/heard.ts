import { type Alert, alert, status } from '../../shared/contract/host.ts';
import { type VserverState, vserverState } from '../../shared/contract/vserver.ts';
import { openHeard } from '../../shared/heard.ts';
import type { Context } from '../../shared/service.ts';
import type { Firing } from './decide.ts';

const LIMIT = 20_000;

/** The host that an alert is about: who says it, or for what the master says, where the vserver lives. */
function hostOf(target: string, subject: string, homes: Map<string, string>, hosts: Set<string>): string {
  if (target !== 'master') return target;
  return hosts.has(subject) ? subject : (homes.get(subject) ?? 'master');
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
export async function openPool({ bus }: Pick<Context, 'bus'>, options: { repeatMs: number }) {
  const { topics } = bus;
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
        return {
          target,
          subject,
          check,
          host: hostOf(target, subject, homes, names),
          severity: value.severity,
          message: value.message,
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
