import * as fc from 'fast-check';
import {
  type Kind,
  always,
  among,
  becomes,
  begins,
  holds,
  inTrash,
  mostlyRunning,
  onMaster,
  receives,
  sends,
  takesOver,
  to,
} from './kind.ts';

const commands = [
  ...holds('host1'),
  ...becomes('host1'),
  ...to('host1', 'snapshot.allocate', 'snapshot.adopt', 'snapshot.discard', 'network.check'),
];
const critical = to(
  'host1',
  'host-agent.claim',
  'host-agent.start',
  'snapshot.discard',
  'host-agent.unlock',
  'host-agent.unlock',
);
const own = ['adopt', 'own', 'start', 'answer', 'unlock', 'unlock'];

/** What comes newly to a host, and can be taken back to its last step. */
export const newcomers: Record<string, Kind> = {
  create: {
    setting: begins(
      fc.constant([]),
      'create',
      fc
        .record({ start: fc.boolean(), enable: fc.boolean() })
        .map((wish) => ({ name: 'web1', address: '10.60.10.5', source: 'busybox', host: 'host1', ...wish })),
    ),
    commands: [...commands, ...to('host1', 'host-agent.install', 'transfer.flush')],
    critical: [...critical, ...to('host1', 'host-agent.install')],
    steps: ['template', 'lock', 'network', 'stage', 'install', ...own],
    ms: 1200,
  },
  'create-script': {
    of: 'create',
    setting: begins(
      fc.constant([]),
      'create',
      fc
        .record({
          start: fc.boolean(),
          script: among({ postInstall: 'true' }, { postInstall: 'false', keep: true }),
        })
        .map(({ start, script }) => ({
          name: 'web1',
          address: '10.60.10.5',
          source: 'busybox',
          host: 'host1',
          start,
          ...script,
        })),
    ),
    commands: [
      ...commands,
      ...to('host1', 'host-agent.install', 'host-agent.post-install', 'host-agent.stop'),
    ],
    critical: [...critical, ...to('host1', 'host-agent.post-install', 'host-agent.post-install')],
    steps: ['install', ...own, 'post-install', 'post-install', 'stop'],
    ms: 2000,
  },
  copy: {
    setting: begins(
      mostlyRunning,
      'copy',
      fc
        .record({ host: among('host1', 'host2'), start: fc.boolean() })
        .map((wish) => ({ name: 'web1', to: 'web2', address: '10.60.10.6', ...wish })),
    ),
    commands: [
      ...commands,
      ...sends('host1'),
      ...receives('host2'),
      ...becomes('host2'),
      ...to('host1', 'host-agent.install', 'snapshot.fork'),
    ],
    critical: [...critical, ...takesOver('host2')],
    steps: ['lock', 'network', 'stage', 'copy', 'install', ...own],
    ms: 2500,
  },
  put: {
    setting: begins(
      among([onMaster], [onMaster, inTrash('host1')]),
      'put',
      always({ name: 'web1', host: 'host1' }),
    ),
    commands: [...commands, ...receives('host1')],
    critical: [...critical, ...to('host1', 'transfer.verify', 'snapshot.adopt')],
    steps: ['lock', 'network', 'stage', 'copy', 'verify', 'adopt', 'own', 'unlock'],
    ms: 2000,
  },
  restore: {
    setting: begins(
      fc.constant([inTrash('host1')]),
      'restore',
      fc.boolean().map((start) => ({ name: 'web1', start })),
    ),
    commands: [
      ...commands,
      ...to('host1', 'snapshot.recall', 'host-agent.adapt', 'snapshot.return', 'host-agent.ownership'),
    ],
    critical: [...critical, ...to('host1', 'snapshot.recall', 'snapshot.adopt')],
    steps: ['lock', 'network', 'recall', 'adapt', ...own],
    ms: 1000,
  },
};
