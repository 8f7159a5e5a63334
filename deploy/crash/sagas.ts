import { deadSagas } from './sagas-dead.ts';
import { hostSagas } from './sagas-host.ts';
import { type SagaSpec, away, begun, emptyTrash, here, homeOf, keptOnMaster, without } from './spec.ts';
import { type Host, ask, made, on, otherHost, web1, web2, web3 } from './world.ts';

const target: Host = 'host2';

export const sagas: Record<string, SagaSpec> = {
  move: {
    kind: 'move',
    about: () => 'web1',
    abortAt: 'adopt',
    parts: away,
    async ready() {},
    begin: (world) =>
      begun(ask(world, 'master', 'orchestrator.move', { name: 'web1', host: otherHost(homeOf(world)) })),
    end: (result, parts) => [here(web1, result === 'done' ? parts.target : parts.source, true)],
  },
  create: {
    kind: 'create',
    about: () => 'web2',
    abortAt: 'answer',
    parts: () => ({ target }),
    ready: without,
    begin: (world) =>
      begun(
        ask(world, 'master', 'orchestrator.create', {
          ...web2,
          source: 'busybox',
          host: target,
          start: true,
          enable: true,
        }),
      ),
    end: (result) => [here(web2, result === 'done' ? target : undefined, true)],
  },
  remove: {
    kind: 'remove',
    about: () => 'web2',
    abortAt: 'lock',
    parts: () => ({ target }),
    async ready(world) {
      await without(world);
      await made(world, web2, target, { start: false, enable: false });
    },
    begin: (world) => begun(ask(world, 'master', 'orchestrator.remove', { name: 'web2', host: target })),
    end: (result) => [here(web2, result === 'done' ? undefined : target, false)],
  },
  copy: {
    kind: 'copy',
    about: () => 'web2',
    abortAt: 'answer',
    parts: away,
    ready: without,
    begin: (world) =>
      begun(
        ask(world, 'master', 'orchestrator.copy', {
          name: 'web1',
          to: 'web2',
          address: web2.address,
          host: otherHost(homeOf(world)),
          start: true,
          enable: true,
        }),
      ),
    end: (result, parts) => [here(web2, result === 'done' ? parts.target : undefined, true)],
  },
  rollback: {
    kind: 'rollback',
    storages: ['btrfs'],
    about: () => 'web2',
    abortAt: 'answer',
    parts: () => ({ target }),
    async ready(world) {
      await without(world);
      await made(world, web2, target, { start: true, enable: true });
      await ask(world, target, 'snapshot.take', { name: 'web2', snapshot: 'one' });
    },
    begin: (world) => begun(ask(world, 'master', 'orchestrator.rollback', { name: 'web2', snapshot: 'one' })),
    end: () => [here(web2, target, true)],
  },
  rename: {
    kind: 'rename',
    about: () => 'web2',
    abortAt: 'stop',
    parts: () => ({ target }),
    async ready(world) {
      await without(world);
      await made(world, web2, target, { start: true, enable: true });
    },
    begin: (world) =>
      begun(ask(world, 'master', 'orchestrator.rename', { name: 'web2', to: 'web3', restart: true })),
    end: (result) => [
      here(web2, result === 'done' ? undefined : target, true),
      here(web3, result === 'done' ? target : undefined, true),
    ],
  },
  restore: {
    kind: 'restore',
    about: () => 'web2',
    abortAt: 'answer',
    parts: () => ({ target }),
    async ready(world) {
      await without(world);
      await made(world, web2, target, { start: false, enable: true });
      await ask(world, 'master', 'orchestrator.remove', { name: 'web2', host: target, wait: true }, 120_000);
    },
    begin: (world) =>
      begun(ask(world, 'master', 'orchestrator.restore', { name: 'web2', host: target, start: true })),
    end: (result) => [here(web2, result === 'done' ? target : undefined, true)],
  },
  get: {
    kind: 'get',
    about: () => 'web1',
    abortAt: 'verify',
    parts: (world) => ({ source: homeOf(world) }),
    async ready(world) {
      await without(world);
      await on(world, 'master', emptyTrash('/var/lib/vs-tools/copies/.trash', '*'));
    },
    begin: (world) => begun(ask(world, 'master', 'orchestrator.get', { name: 'web1' })),
    end: () => [],
    copies: () => ({ web1: true }), // the new one, or that of the run without a fault
  },
  put: {
    kind: 'put',
    about: () => 'web2',
    abortAt: 'own',
    parts: () => ({ target }),
    ready: (world) => keptOnMaster(world, target),
    begin: (world) => begun(ask(world, 'master', 'orchestrator.put', { name: 'web2', host: target })),
    end: (result) => [here(web2, result === 'done' ? target : undefined, false)],
    copies: () => ({ web2: true }),
  },
  backup: {
    kind: 'backup',
    about: () => 'web1',
    abortAt: 'seal',
    parts: (world) => ({ source: homeOf(world) }),
    ready: without,
    begin: (world) => begun(ask(world, 'master', 'orchestrator.backup', { name: 'web1', mode: 'cold' })),
    end: (_result, { source }) => [here(web1, source, true)],
  },
  'backup-restore': {
    kind: 'backup-restore',
    about: () => 'web2',
    abortAt: 'answer',
    parts: () => ({ target }),
    async ready(world) {
      await without(world);
      await made(world, web2, target, { start: false, enable: true });
      await ask(world, 'master', 'orchestrator.backup', { name: 'web2', wait: true }, 120_000);
      await without(world);
    },
    begin: (world) =>
      begun(ask(world, 'master', 'orchestrator.backup-restore', { name: 'web2', host: target, start: true })),
    end: (result) => [here(web2, result === 'done' ? target : undefined, true)],
  },
  'backup-test': {
    kind: 'backup-test',
    about: () => 'web1-test',
    abortAt: 'record',
    parts: () => ({ target }),
    async ready(world) {
      await without(world);
      await ask(world, 'master', 'orchestrator.backup', { name: 'web1', wait: true }, 120_000);
    },
    begin: (world) => begun(ask(world, 'master', 'orchestrator.backup-test', { name: 'web1', host: target })),
    end: () => [],
  },
  forget: {
    kind: 'forget',
    about: () => 'web2',
    parts: () => ({}),
    ready: (world) => keptOnMaster(world, target),
    begin: (world) => begun(ask(world, 'master', 'orchestrator.forget', { name: 'web2' })),
    end: () => [here(web2, undefined, false)],
    copies: (result) => ({ web2: result === 'undone' }),
  },
  ...deadSagas,
  ...hostSagas,
};
