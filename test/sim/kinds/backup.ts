import * as fc from 'fast-check';
import { FORMER } from '../place.ts';
import { type Fault, type Vserver, ask } from '../scenario.ts';
import {
  type Kind,
  always,
  among,
  at,
  becomes,
  begins,
  holds,
  inRepository,
  mostlyRunning,
  receives,
  sends,
  takesOver,
  to,
  web1,
} from './kind.ts';

/** What runs on storage with and without snapshots, into a repository that shares by snapshots or by links. */
const storages = among(
  ['host1'],
  ['master', 'host1'],
  [],
  ['master'],
  ['master', 'host1', 'host2'],
  ['host1', 'host2'],
);
const stops = to('host1', 'host-agent.stop', 'host-agent.start', 'host-agent.unlock');
const kept = (one: Vserver): Vserver => ({ ...one, kept: true });

/** Somebody destroys a backup of before, so long (ms) after another one has begun. */
const removed = (ms: number): Fault =>
  at(ms, {
    what: 'ask',
    target: 'master',
    command: 'repository.remove',
    args: { repository: 'main', vserver: 'web1', id: FORMER },
  });

const backup: Kind = {
  setting: begins(
    fc
      .record({ vservers: mostlyRunning, hasFormer: fc.boolean() })
      .map(({ vservers, hasFormer }) => (hasFormer ? [...vservers, inRepository] : vservers)),
    'backup',
    among('cold', 'cold', 'hot').map((mode) => ({ name: 'web1', mode })),
  ),
  commands: [...sends('host1'), ...holds('host1'), ...stops, ...to('host1', 'transfer.remember')],
  critical: [...stops, ...to('host1', 'snapshot.renew', 'transfer.send')],
  steps: 'open|lock|stop|snapshot|seed|copy|start|unlock|verify|seal|let go'.split('|'),
  atMaster: ['open', 'seed', 'copy', 'verify', 'seal', 'seal', 'let go'],
  btrfs: storages,
  ms: 2500,
};

/** Backups, restores from them, and rollbacks to snapshots. */
export const backups: Record<string, Kind> = {
  backup,
  /** One of before goes meanwhile. */
  'backup-prune': {
    ...backup,
    of: 'backup',
    setting: fc
      .record({ mode: among('cold', 'hot'), ms: fc.integer({ min: 0, max: 2500 }) })
      .map(({ mode, ms }) => ({
        vservers: [web1(true, true), inRepository],
        begin: [at(0, ask('backup', { name: 'web1', mode })), removed(ms)],
      })),
  },
  'backup-restore': {
    setting: fc.oneof(
      begins(
        among([inRepository]),
        'backup-restore',
        among({}, { start: true }, { start: false }).map((wish) => ({ name: 'web1', ...wish })),
      ),
      begins(
        fc.boolean().map((isRunning) => [web1(isRunning, true), inRepository]),
        'backup-restore',
        always({ name: 'web1', over: true }),
      ),
      begins(
        among([web1(true, true), inRepository]),
        'backup-restore',
        fc
          .record({ host: among('host1', 'host2'), start: fc.boolean() })
          .map((wish) => ({ name: 'web1', as: 'web2', address: '10.60.10.6', ...wish })),
      ),
    ),
    commands: [
      ...receives('host1'),
      ...holds('host1'),
      ...becomes('host1'),
      ...to('host1', 'host-agent.adapt', 'host-agent.stop', 'host-agent.release', 'snapshot.trash'),
    ],
    critical: [
      ...takesOver('host1'),
      ...to('host1', 'host-agent.release', 'snapshot.trash', 'snapshot.discard', 'host-agent.unlock'),
    ],
    steps: 'lock|stage|copy|verify|adapt|stop|give up|trash|adopt|own|start|answer|unlock'.split('|'),
    atMaster: ['copy', 'verify', 'give up', 'trash', 'own'],
    btrfs: storages,
    ms: 2000,
  },
  'backup-test': {
    setting: begins(
      among([inRepository], [web1(true, true), inRepository], [web1(false, true), inRepository]),
      'backup-test',
      among({}, { host: 'host1' }).map((wish) => ({ name: 'web1', ...wish })),
    ),
    commands: [
      ...receives('host1'),
      ...holds('host1'),
      ...to('host1', 'host-agent.try', 'host-agent.end-try', 'transfer.close'),
    ],
    critical: to(
      'host1',
      'host-agent.try',
      'host-agent.try',
      'host-agent.end-try',
      'snapshot.discard',
      'host-agent.unlock',
    ),
    steps: 'hold|lock|stage|copy|verify|try|record|clear'.split('|'),
    atMaster: ['hold', 'copy', 'try', 'record', 'record', 'clear'],
    btrfs: storages,
    ms: 5000,
  },
  rollback: {
    setting: begins(
      mostlyRunning.map((all) => all.map(kept)),
      'rollback',
      among({}, { settings: true }).map((wish) => ({ name: 'web1', snapshot: 'one', ...wish })),
    ),
    commands: [
      ...holds('host1'),
      ...becomes('host1'),
      ...to('host1', 'snapshot.return-to', 'host-agent.adapt', 'host-agent.stop', 'snapshot.safety'),
      ...to('host1', 'snapshot.exchange', 'snapshot.discard', 'snapshot.drop'),
    ],
    critical: [
      ...to('host1', 'snapshot.safety', 'snapshot.exchange', 'snapshot.exchange', 'snapshot.discard'),
      ...to('host1', 'host-agent.detach', 'host-agent.start', 'host-agent.stop'),
    ],
    steps: 'lock|stage|stop|keep|exchange|start|answer|let go'.split('|'),
    btrfs: among(['host1'], ['host1', 'host2']),
    ms: 1500,
  },
};
