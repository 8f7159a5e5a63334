import { z } from 'zod';
import { command, reply } from './command.ts';
import { alert, event, hostInfo, metrics, status } from './host.ts';
import { sagaProgress, sagaState } from './saga.ts';
import { removedVserver, vserverState } from './vserver.ts';

/** Who has a part in a topic: the broker's roles (an agent: only that of the host in the topic), or the one client in it. */
export type Party = 'agent' | 'master' | 'operator' | 'viewer' | 'client';

/** One topic of the bus, as docs/topics.md, docs/asyncapi.yaml, `vs topics` and `vs listen` tell it. */
export interface Channel {
  /** Below the base (`vs/1`); each `{word}` is one level. */
  topic: string;
  summary: string;
  qos: 0 | 1;
  retained: boolean;
  /** What an empty payload says; without it there is none. */
  empty?: string;
  publishers: Party[];
  readers: Party[];
  payload: z.ZodType;
  example: object;
  /** The topic is spoken for, but nothing publishes on it yet. */
  reserved?: true;
}

const everyone: Party[] = ['agent', 'master', 'operator', 'viewer'];
const viewers: Party[] = ['master', 'operator', 'viewer'];
const operators: Party[] = ['master', 'operator'];
const ts = 1764086400000;
const session = '5f0c1d9e-8b7a-4a53-9c21-3f4a6b7c8d90';
const saga = 'move-web1-mif2k9';

const states = {
  hostStatus: {
    topic: 'hosts/{host}/status',
    summary: 'whether the host is on the bus; "offline" is its last will',
    qos: 1,
    retained: true,
    empty: 'the host was removed from the pool (the master says so)',
    publishers: ['agent'],
    readers: everyone,
    payload: status,
    example: { state: 'online', session, ts },
  },
  hostInfo: {
    topic: 'hosts/{host}/info',
    summary: 'what the host is and has, every 30 s',
    qos: 1,
    retained: true,
    empty: 'the host was removed from the pool (the master says so)',
    publishers: ['agent'],
    readers: viewers,
    payload: hostInfo,
    example: {
      host: 'host1',
      version: '0.1.0',
      address: '10.98.0.11',
      kernel: '6.12.48',
      cpus: 8,
      mem_bytes: 33_554_432_000,
      mem_free_bytes: 21_474_836_480,
      runtime: { name: 'lxc', version: '6.0.4' },
      storage: {
        storage: 'btrfs',
        capabilities: { snapshot: true, send: true },
        total: 1_000_204_886_016,
        free: 640_135_028_736,
      },
      networks: ['blue', 'green'],
      ts,
    },
  },
  hostMetrics: {
    topic: 'hosts/{host}/metrics',
    summary: 'figures of the host, every METRICS_INTERVAL seconds',
    qos: 0,
    retained: false,
    publishers: ['agent'],
    readers: viewers,
    payload: metrics,
    example: {
      ts,
      cpu_pct: 12.5,
      mem_bytes: 12_079_595_520,
      mem_limit_bytes: 33_554_432_000,
      mem_pct: 36,
      load_1: 0.42,
      load_5: 0.38,
      load_15: 0.31,
      disk_bytes: 360_069_857_280,
      disk_free_bytes: 640_135_028_736,
      disk_limit_bytes: 1_000_204_886_016,
      uptime_seconds: 864_000,
      vservers_running: 7,
    },
  },
  vserverState: {
    topic: 'hosts/{host}/vservers/{vserver}/state',
    summary:
      'one vserver on this host, at every change; epoch 0: the host has files of it but does not own it',
    qos: 1,
    retained: true,
    empty: 'the vserver is gone from this host',
    publishers: ['agent'],
    readers: everyone,
    payload: vserverState,
    example: {
      host: 'host1',
      name: 'web1',
      state: 'running',
      enabled: true,
      address: '10.60.10.5',
      address6: 'fd60:10::5',
      mac: '02:1a:2b:3c:4d:5e',
      network: 'blue',
      epoch: 3,
      uuid: '9b2f6a52-6f43-4f0f-9d51-7a2d0f7c9a11',
      limits: { memory_bytes: 536_870_912, cpu: 0.8 },
      pid: 4711,
      since: ts,
      ts,
    },
  },
  vserverMetrics: {
    topic: 'hosts/{host}/vservers/{vserver}/metrics',
    summary: 'figures of a vserver that runs, every METRICS_INTERVAL seconds',
    qos: 0,
    retained: false,
    publishers: ['agent'],
    readers: viewers,
    payload: metrics,
    example: {
      ts,
      cpu_pct: 3.1,
      cpu_seconds_total: 812.4,
      mem_bytes: 201_326_592,
      mem_limit_bytes: 536_870_912,
      mem_pct: 37.5,
      mem_hits_total: 0,
      procs: 23,
      procs_hits_total: 0,
      io_read_bytes: 48_234_496,
      io_write_bytes: 9_437_184,
      net_rx_bytes: 1_204_224,
      net_tx_bytes: 5_242_880,
      disk_bytes: 229_638_144,
      uptime_seconds: 86_400,
    },
  },
  removed: {
    topic: 'master/removed/{uuid}',
    summary:
      'a vserver was removed, and which host had it last; another one that had it before, and was away meanwhile, gives way to that epoch',
    qos: 1,
    retained: true,
    empty: 'it lives again, or no host can have an old copy of it any more',
    publishers: ['master'],
    readers: ['agent', 'master', 'operator'],
    payload: removedVserver,
    example: { uuid: '9b2f6a52-6f43-4f0f-9d51-7a2d0f7c9a11', name: 'web1', host: 'host2', epoch: 4, ts },
  },
  sagaState: {
    topic: 'sagas/{saga}/state',
    summary: 'a move, a create or a remove: its steps, result and downtime',
    qos: 1,
    retained: true,
    empty: 'the saga was pruned',
    publishers: ['master'],
    readers: viewers,
    payload: sagaState,
    example: {
      id: saga,
      kind: 'move',
      vserver: 'web1',
      args: { name: 'web1', host: 'host2' },
      result: 'running',
      title: 'web1: host1 -> host2, 231 MB in 10 342 files, btrfs-send',
      steps: [
        { step: 'lock', state: 'done', host: 'host1', started: ts, ms: 70 },
        { step: 'stop', state: 'waiting', downtime: true },
      ],
      issuer: 'operator',
      started: ts,
    },
  },
  sagaProgress: {
    topic: 'sagas/{saga}/progress',
    summary: 'how far the step of a saga is, about once a second; rate in bytes/s, eta in ms',
    qos: 0,
    retained: false,
    publishers: ['master'],
    readers: viewers,
    payload: sagaProgress,
    example: {
      id: saga,
      step: 'seed',
      bytes: 148_000_000,
      total: 231_000_000,
      percent: 64,
      rate: 74_000_000,
      eta: 1100,
    },
  },
  backupState: {
    topic: 'backups/{vserver}/state',
    summary: 'the last success of a backup, its age, size and next run',
    qos: 1,
    retained: true,
    publishers: ['master'],
    readers: viewers,
    payload: z.looseObject({}),
    example: {},
    reserved: true,
  },
} satisfies Record<string, Channel>;

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

/** Every topic, by its key: the one table from which all that tells of topics is made. */
export const channels: Record<string, Channel> = {
  ...states,
  masterStatus: {
    ...states.hostStatus,
    topic: 'master/status',
    summary: 'whether the master is on the bus',
    publishers: ['master'],
    readers: viewers,
  },
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

/** The channel of a topic below the base, and the words in it. */
export function channelOf(
  topic: string,
): { key: string; channel: Channel; words: Record<string, string> } | undefined {
  const have = topic.split('/');
  for (const [key, channel] of Object.entries(channels)) {
    const want = channel.topic.split('/');
    if (want.length !== have.length) continue;
    const words: Record<string, string> = {};
    const fits = want.every((level, index) => {
      const word = /^\{(\w+)\}$/.exec(level)?.[1];
      if (word) words[word] = have[index] ?? '';
      return word ? have[index] !== '' : level === have[index];
    });
    if (fits) return { key, channel, words };
  }
  return undefined;
}
