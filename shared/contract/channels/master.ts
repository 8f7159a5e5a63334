import { backupState } from '../backup-scheduler.ts';
import { poolNetworks } from '../networks.ts';
import { sagaProgress, sagaState } from '../saga.ts';
import { removedVserver } from '../vserver.ts';
import { type Channel, ts, viewers } from './channel.ts';

const saga = 'move-web1-mif2k9';

/** What the master tells of the pool: what is removed, sagas, backups. */
export const ofMaster = {
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
  networks: {
    topic: 'master/networks',
    summary:
      'the networks of the pool, as `vs net apply` took them from networks.conf and slaves.conf; each host keeps them, and has its own uplink and MTU in `hosts`',
    qos: 1,
    retained: true,
    publishers: ['master'],
    readers: ['agent', 'master', 'operator'],
    payload: poolNetworks,
    example: {
      version: 1764086400,
      hash: '5d41402abc4b2a76',
      networks: [
        {
          name: 'blue',
          vlan: 10,
          tagged: true,
          subnet: '10.60.10.0/24',
          gateway: '10.60.10.1',
          subnet6: 'fd60:10::/64',
          gateway6: 'fd60:10::1',
        },
      ],
      hosts: { host1: { uplink: 'eth1', mtu: 1496 } },
      ts,
    },
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
    summary:
      'how the backups of a vserver stand against their schedule: the last success, its size, the next run',
    qos: 1,
    retained: true,
    empty: 'the vserver has neither a line of backup.conf nor backups',
    publishers: ['master'],
    readers: viewers,
    payload: backupState,
    example: {
      vserver: 'web1',
      state: 'ok',
      mode: 'hot',
      schedule: '30 2 * * *',
      timezone: 'Europe/Berlin',
      lastSuccess: ts,
      lastAttempt: ts,
      size: 231_000_000,
      count: 11,
      nextRun: ts + 86_400_000,
      ts,
    },
  },
} satisfies Record<string, Channel>;
