interface Edit {
  file: string;
  from: string | RegExp;
  to: string;
}
/** A fault that is put into the code of vs-tools as it is loaded, when a simulation asks for it, to see that it is found. */
export interface Mutation {
  name: string;
  /** In whose seeds it is looked for. */
  saga: string;
  edits: Edit[];
}

const halt = 'services/orchestrator/sagas/move-halt.ts';
const handOver = 'services/orchestrator/sagas/move-hand-over.ts';
const recover = 'services/orchestrator/sagas/recover.ts';
const executor = 'services/orchestrator/executor.ts';
const commands = 'services/host-agent/commands.ts';
const ownership = 'services/host-agent/ownership.ts';
const one = (name: string, saga: string, file: string, from: string | RegExp, to: string): Mutation => ({
  name,
  saga,
  edits: [{ file, from, to }],
});

export const mutations: Mutation[] = [
  one(
    'start-before-give-up',
    'move',
    handOver,
    "await agents.ask(source, 'host-agent.release'",
    `await agents.ask(target, 'host-agent.claim', { ...both(context), epoch: epoch + 1 }, context);
     await agents.ask(target, 'host-agent.start', { ...both(context), epoch: epoch + 1 }, context);
     await agents.ask(source, 'host-agent.release'`,
  ),
  one(
    'claim-without-next-epoch',
    'move',
    handOver,
    'const next = { ...both(context), epoch: epoch + 1',
    'const next = { ...both(context), epoch: epoch',
  ),
  {
    name: 'undo-after-the-point-of-no-return',
    saga: 'move',
    edits: [
      { file: executor, from: /if \(!pnr \|\| attempt >= [^)]*\) throw error;/, to: 'throw error;' },
      { file: executor, from: /if \(pnr\)(\s+return end\()/, to: 'if (false)$1' },
    ],
  },
  {
    name: 'release-without-proof-of-stop',
    saga: 'move',
    edits: [
      { file: commands, from: 'else await runtime.requireStopped(args.name, ENDS_WITHIN);', to: '' },
      { file: commands, from: 'else if ((await lxc.alive()).has(args.name))', to: 'else if (false)' },
    ],
  },
  one(
    'snapshots-stay-behind',
    'move-kept',
    handOver,
    'plan.snapshots === true && keepSnapshots(plan, agents),',
    '',
  ),
  one(
    'unlock-before-trash',
    'move',
    handOver,
    "const kept = await agents.ask(source, 'snapshot.trash'",
    `await agents.ask(source, 'host-agent.unlock', both(context), context);
     const kept = await agents.ask(source, 'snapshot.trash'`,
  ),
  one(
    'autostart-does-not-wait-for-the-saga',
    'move',
    'services/host-agent/boot.ts',
    'if (!waiting.has(name) || (await locks.holder(name))) return 0;',
    '',
  ),
  one(
    'rename-without-fsync-of-the-directory',
    'move',
    'shared/store.ts',
    /await syncDirectory\(directory\);\n\}/,
    '}',
  ),
  one(
    'journal-without-fsync',
    'move',
    'services/orchestrator/journal.ts',
    /fsyncSync\(handle\);(\s+if \(isNew\))/,
    '$1',
  ),
  one(
    'no-flush-of-the-copy',
    'move',
    'services/orchestrator/sagas/steps.ts',
    /if \(flush\)\s+await agents\.ask\(/,
    'if (false) await agents.ask(',
  ),
  one('no-stop', 'move', halt, /await agents\.ask\(source, 'host-agent\.stop'[^;]*;/, ''),
  one(
    'an-id-is-carried-out-twice',
    'create',
    'shared/dispatch.ts',
    'const known = runs.get(key);',
    'const known = undefined as Run | undefined;',
  ),
  one(
    'the-staging-place-is-left',
    'move',
    handOver,
    /await agents\.ask\(target, 'snapshot\.discard'[^;]*;/,
    '',
  ),
  one(
    'undo-of-what-is-not-locked',
    'create',
    'services/orchestrator/sagas/create.ts',
    'pnr: true, // what is not held',
    '// what is not held',
  ),
  one(
    'the-word-of-a-later-life-is-trusted',
    'move',
    'services/orchestrator/sagas/steps.ts',
    'if (life !== undefined && agents.life?.(host) !== life)',
    'if (false)',
  ),
  {
    name: 'start-without-ownership',
    saga: 'recover',
    edits: [
      {
        file: commands,
        from: /const own = await requireOwner\(settings, host, name, epoch\);(\s+if \(own\.uuid)/,
        to: 'const own = config;$1',
      },
      // the hook of the runtime, which the simulation has in its own words
      {
        file: 'test/sim/guests.ts',
        from: "if (!isOwner) return 'this host",
        to: "if (false) return 'this host",
      },
    ],
  },
  {
    name: 'claim-of-a-lower-epoch',
    saga: 'recover',
    edits: [
      { file: ownership, from: 'if (now.epoch >= want.epoch)', to: 'if (false)' },
      { file: ownership, from: ' || one.epoch >= want.epoch', to: '' },
    ],
  },
  {
    name: 'recover-of-what-lives',
    saga: 'recover',
    edits: [
      {
        file: recover,
        from: 'await requireDeadSilence(looks, { ...plan, host: dead, management });',
        to: '',
      },
      { file: recover, from: 'await requireAlone(agents, plan, context);', to: '' },
      {
        file: recover,
        from: "step.name !== 'stage')",
        to: "step.name !== 'stage').filter((step) => step.name !== 'network')",
      },
    ],
  },
  one(
    'given-up-and-not-doomed',
    'move-frozen',
    commands,
    'if (frozen) await runtime.doom(args.name);',
    'if (frozen) await Promise.resolve();',
  ),
  one(
    'put-with-the-epoch-of-the-copy',
    'put',
    'services/orchestrator/plans/put.ts',
    'epoch: await nextEpoch(deciding, copy, copy.epoch)',
    'epoch: copy.epoch',
  ),
  one(
    'restore-leaves-the-trash-empty',
    'restore',
    'services/snapshot/trash.ts',
    'if (await exists(from)) await renameDurable(from, tree(which));',
    '',
  ),
  one(
    'trash-before-give-up',
    'remove',
    'services/orchestrator/sagas/remove.ts',
    /(epoch > 0 && \{\s+name: 'give up',)/,
    'epoch < 0 && $1',
  ),
  one(
    'taken-back-with-the-epoch-of-the-target',
    'move-dead',
    'services/orchestrator/turn-back.ts',
    'const epoch = await nextEpoch(deciding, here, taken);',
    'const epoch = taken;',
  ),
  one(
    'taken-back-without-a-look',
    'move-dead',
    'services/orchestrator/silence.ts',
    'if (management !== undefined &&',
    'if (false &&',
  ),
  one(
    'removed-and-forgotten',
    'recover',
    'services/orchestrator/sagas/remove.ts',
    'await agents.removed?.(',
    'void (',
  ),
  one(
    'a-backup-that-is-not-written-out',
    'backup',
    'services/repository/open.ts',
    "await run(['sync', '-f', path], { timeoutMs: 3_600_000 });",
    '',
  ),
  one(
    'a-backup-under-its-name-too-early',
    'backup',
    'services/repository/open.ts',
    'await renameDurable(fresh, path);\n  return answer(now);',
    `await renameDurable(fresh, path);
  if (last) {
    const early = paths.backup(name, '20261127T000000Z');
    await trees.share(path, early);
    await writeJson(join(early, 'backup.json'), backupRecord, { ...last, id: '20261127T000000Z', saga });
  }
  return answer(now);`,
  ),
  one(
    'restore-with-the-epoch-of-the-backup',
    'backup-restore',
    'services/orchestrator/plans/backup-restore.ts',
    'await nextEpoch(deciding, chosen, chosen.epoch)',
    'chosen.epoch',
  ),
  one(
    'restore-in-a-place-that-is-not-given-up',
    'backup-restore',
    'services/orchestrator/sagas/backup-restore.ts',
    "await agents.ask(target, 'host-agent.release', mine, context);",
    'void mine;',
  ),
  one(
    'a-test-that-is-not-recorded',
    'backup-test',
    'services/orchestrator/sagas/backup-test.ts',
    "await agents.ask('master', 'repository.prove', { repository, vserver: of, id, proof }, context);",
    'void [repository, of, id, proof];',
  ),
  one(
    'a-test-that-leaves-what-it-tried',
    'backup-test',
    'services/orchestrator/sagas/backup-test.ts',
    "await agents.ask(target, 'snapshot.discard', both(context), context, { timeoutMs: 600_000 });",
    '',
  ),
  one(
    'a-backup-that-is-tried-and-does-not-end',
    'backup-test',
    'services/host-agent/trial.ts',
    'if ((await lxc.alive()).has(name)) await lxc.stop(name, 0);',
    'if (await lxc.alive()) return;',
  ),
  one(
    'rollback-without-a-safety-snapshot',
    'rollback',
    'services/orchestrator/sagas/rollback.ts',
    "await agents.ask(host, 'snapshot.safety', { ...both(context), snapshot: safety, note, by }, context);",
    'void [note, by];',
  ),
  one(
    'rollback-whose-exchange-is-not-undone',
    'rollback',
    'services/orchestrator/sagas/rollback.ts',
    "await agents.ask(host, 'snapshot.exchange', { ...both(context), back: true }, context);",
    '',
  ),
];
