import * as fc from 'fast-check';
import { ask } from '../scenario.ts';
import {
  type Kind,
  always,
  at,
  becomes,
  begins,
  holds,
  mostlyRunning,
  onMaster,
  sends,
  to,
  web1,
} from './kind.ts';

const releases = to('host1', 'host-agent.release', 'snapshot.trash');

/** On one host, or on the master. */
export const others: Record<string, Kind> = {
  rename: {
    setting: begins(mostlyRunning, 'rename', always({ name: 'web1', to: 'web3', restart: true })),
    commands: [
      ...holds('host1'),
      ...becomes('host1'),
      ...to('host1', 'host-agent.stop', 'host-agent.release', 'snapshot.restage', 'host-agent.adapt'),
      ...to('host1', 'snapshot.adopt', 'snapshot.discard'),
    ],
    critical: to('host1', 'host-agent.release', 'snapshot.restage', 'snapshot.adopt', 'host-agent.claim'),
    steps: ['lock', 'stop', 'give up', 'rename', 'adopt', 'take over', 'start', 'answer', 'clean up'],
    ms: 1200,
  },
  get: {
    setting: fc
      .record({ vservers: mostlyRunning, hasFormer: fc.boolean() })
      .map(({ vservers, hasFormer }) => ({
        vservers: hasFormer ? [...vservers, onMaster] : vservers,
        begin: [at(0, ask('get', { name: 'web1' }))],
      })),
    commands: sends('host1'),
    critical: to('host1', 'transfer.send'),
    steps: ['stage', 'copy', 'verify', 'let go', 'put aside', 'keep', 'clean up'],
    ms: 2500,
  },
  remove: {
    setting: begins(
      fc.boolean().map((enabled) => [web1(false, enabled)]),
      'remove',
      always({ name: 'web1' }),
    ),
    commands: [...holds('host1'), ...releases],
    critical: releases,
    steps: ['lock', 'give up', 'trash'],
    ms: 300,
  },
  forget: {
    setting: begins(fc.constant([onMaster]), 'forget', always({ name: 'web1' })),
    commands: to('host1', 'snapshot.info'),
    critical: to('host1', 'snapshot.info'),
    steps: ['trash'],
    ms: 200,
  },
};
