import { command, reply } from '../command.ts';
import { alert, event } from '../host.ts';
import { type Channel, type Party, operators, ts, viewers } from './channel.ts';

/** A topic that hosts and the master have alike. */
const both = (
  key: string,
  topic: string,
  one: Omit<Channel, 'topic' | 'publishers'> & { hostReaders?: Party[]; publishers?: Party[] },
): Record<string, Channel> => {
  const { hostReaders, publishers, ...rest } = one;
  return {
    [`host${key}`]: {
      ...rest,
      topic: `hosts/{host}/${topic}`,
      publishers: publishers ?? ['agent'],
      readers: hostReaders ?? one.readers,
    },
    [`master${key}`]: { ...rest, topic: `master/${topic}`, publishers: publishers ?? ['master'] },
  };
};

/** Alerts, events, commands and replies. */
export const alike: Record<string, Channel> = {
  ...both('Alert', 'alerts/{subject}/{check}', {
    summary: 'what is wrong, while it is; the subject is a vserver, a host or a saga',
    qos: 1,
    retained: true,
    empty: 'resolved',
    readers: viewers,
    payload: alert,
    example: { ts, severity: 'critical', message: 'web1: line 3 of vserver.json is no JSON' },
  }),
  ...both('Event', 'events/{service}', {
    summary: 'what happened, for people and history',
    qos: 1,
    retained: false,
    readers: operators,
    payload: event,
    example: { ts, event: 'started', message: 'web1 runs on host1', vserver: 'web1', issuer: 'operator' },
  }),
  ...both('Command', 'commands/{service}/{command}', {
    summary: 'what a service is to do; a retained one is not carried out',
    qos: 1,
    retained: false,
    publishers: operators,
    readers: operators,
    hostReaders: ['agent', 'master', 'operator'],
    payload: command,
    example: {
      id: 'c1',
      replyTo: 'vs/1/hosts/host1/replies/operator-1',
      issuer: 'me',
      args: { name: 'web1' },
    },
  }),
  ...both('Reply', 'replies/{client}', {
    summary: 'the answer to a command: any number of "progress", then one with "ok"',
    qos: 1,
    retained: false,
    readers: ['client'],
    payload: reply,
    example: { id: 'c1', ok: true, data: {} },
  }),
};
