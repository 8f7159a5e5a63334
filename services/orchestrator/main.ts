import { VsError } from '../../shared/errors.ts';
import type { Call, Context, Service } from '../../shared/service.ts';
import type { Args } from '../../shared/contract/commands.ts';
import type { SagaState } from '../../shared/contract/saga.ts';
import { changeAddresses } from './addresses.ts';
import { readAudit } from './audit.ts';
import { openEpochs } from './epochs.ts';
import { openHeardAudit } from './heard-audit.ts';
import { openHistory } from './history.ts';
import { localAudit, mergedAudit } from './local-audit.ts';
import { makeWay } from './make-way.ts';
import { openOwed } from './owed.ts';
import { planners } from './planner.ts';
import { openMarks } from './marks.ts';
import type { Deciding, Planned } from './plans/planned.ts';
import { openPool } from './pool.ts';
import { openRelief } from './relief.ts';
import { openRemoved } from './removed.ts';
import { sagaRunner } from './runner.ts';
import { withoutScript } from './sagas/post-install.ts';
import { trashOf } from './trash.ts';

/** So long (ms) what the hosts said last is waited for at the start; a host that never was there says nothing. */
const SETTLE_MS = 3000;

/** The orchestrator: knows the pool, and moves, creates and removes vservers by sagas. */
export function service(context: Context): Service {
  const pool = openPool(context);
  const epochs = openEpochs(context);
  const owed = openOwed(context, pool, (saga) => sagas.isOver(saga));
  const removed = openRemoved(context, pool);
  const marks = openMarks(context.settings);
  const sagas = sagaRunner(context, pool, { marks, epochs, removed });
  const history = openHistory(context);
  const audit = openHeardAudit(context);
  let connected = false;
  /** Before the pool was heard, and the sagas of a former life hold their vservers, no other may begin, and no answer would be true. */
  const resumed = Promise.withResolvers<void>();

  async function answer(
    begun: { state: SagaState; ended: Promise<SagaState> },
    wait: boolean | undefined,
    wanted: SagaState['result'] = 'done',
  ) {
    if (!wait) return { saga: begun.state.id, state: begun.state };
    const state = await begun.ended;
    if (state.result === 'undone' && wanted !== 'undone')
      throw new VsError('failed', state.message ?? 'undone', { details: { saga: state.id } });
    if (state.result === 'stuck')
      throw new VsError('stuck', state.message ?? 'stuck', { details: { saga: state.id } });
    return { saga: state.id, state };
  }
  const deciding: Deciding = { context, pool, epochs, marks, past: () => sagas.list({ limit: 200 }) };
  const relief = openRelief(deciding, sagas);
  /** The handler of a command that becomes a saga. */
  const begin =
    <K extends keyof typeof planners>(kind: K) =>
    async (
      args: Parameters<(typeof planners)[K]>[1] & { dryRun?: boolean; wait?: boolean },
      call: Call,
      over?: SagaState,
    ) => {
      await resumed.promise;
      const plan = planners[kind] as (deciding: Deciding, args: object) => Promise<Planned>;
      await marks.load();
      const planned = await plan(deciding, args);
      if (planned.onto !== undefined && marks.get(planned.onto))
        throw new VsError(
          'refused',
          `${planned.onto} is evacuated, so nothing new is placed there; end that with: vs restore-host ${planned.onto}`,
        );
      if (over) {
        if (args.dryRun === true) planned.over = over.id; // else it has ended by now
        planned.title += `; the ${over.kind} ${over.id} that waits for that host is ended`;
      }
      const shown = planned.args ?? { ...args };
      return answer(sagas.begin(planned, shown, call.issuer, args.dryRun === true), args.wait);
    };

  /** Clears the topics of sagas that were pruned while the broker was away: it says all that it has once. */
  async function clearPruned(): Promise<void> {
    const off = await context.bus.subscribe(context.bus.topics.all.sagaState, (topic, payload) => {
      if (payload && !sagas.knows(topic.split('/').at(-2) ?? '')) context.bus.retain(topic, null);
    });
    setTimeout(() => void off(), 30_000).unref();
  }
  async function recover(args: Args<'orchestrator.recover'>, call: Call) {
    await resumed.promise;
    const { finish, over } = await makeWay({ deciding, sagas, owed }, args, call.issuer);
    if (!finish) return begin('recover')(args, call, over);
    const { ended, ...begun } = finish;
    if (!ended) return begun;
    const wanted = begun.undoes ? 'undone' : 'done';
    return { ...begun, ...(await answer({ state: begun.state, ended }, args.wait, wanted)) };
  }

  return {
    name: 'orchestrator',
    handlers: {
      'orchestrator.scan': async (args) => {
        await resumed.promise;
        const stateOf = (host: string) => (pool.isOnline(host) ? ('online' as const) : ('offline' as const));
        return {
          rows: pool.rows(args),
          hosts: pool.hosts().map((host) => ({ host, state: stateOf(host) })),
        };
      },
      'orchestrator.hosts': async () => {
        await resumed.promise;
        const hosts = pool.hosts().map((host) => {
          const here = pool.all().filter((one) => one.host === host);
          const running = here.filter((one) => one.state === 'running').length;
          const mark = marks.get(host);
          return {
            ...pool.info(host),
            host,
            state: pool.isOnline(host) ? ('online' as const) : ('offline' as const),
            vservers: here.length,
            running,
            ...(mark ? { evacuated: { since: mark.since, by: mark.by, left: mark.left } } : {}),
          };
        });
        return { hosts };
      },
      'orchestrator.locate': async ({ name }) => {
        await resumed.promise;
        const { host, state } = pool.locate(name);
        return { host, state, online: pool.isOnline(host) };
      },
      'orchestrator.move': begin('move'),
      'orchestrator.create': begin('create'),
      'orchestrator.origins': async ({ template }) => {
        await resumed.promise;
        const from = pool.all().filter((one) => one.template?.name === template);
        return {
          vservers: from.map(({ host, name, template: was }) => ({ host, name, sha256: was?.sha256 })),
        };
      },
      'orchestrator.address': async (args) => {
        await resumed.promise;
        return changeAddresses(deciding, args);
      },
      'orchestrator.remove': begin('remove'),
      'orchestrator.get': begin('get'),
      'orchestrator.put': begin('put'),
      'orchestrator.recover': recover,
      'orchestrator.forget': begin('forget'),
      'orchestrator.copies': () => context.bus.request('master', 'snapshot.copies', {}),
      'orchestrator.copy': begin('copy'),
      'orchestrator.rename': begin('rename'),
      'orchestrator.restore': begin('restore'),
      'orchestrator.rollback': begin('rollback'),
      'orchestrator.trash': (args) => trashOf(deciding, args),
      'orchestrator.evacuate': begin('evacuate'),
      'orchestrator.restore-host': begin('restore-host'),
      'orchestrator.update-hosts': begin('update-hosts'),
      'orchestrator.backup': begin('backup'),
      'orchestrator.backup-restore': begin('backup-restore'),
      'orchestrator.backup-test': begin('backup-test'),
      'orchestrator.events': async ({ limit }) => ({ events: history.list(limit ?? 50) }),
      'orchestrator.audit': async (args) => {
        const atBroker = await readAudit(context.settings.STATE_DIR, args);
        const atHosts = localAudit(history.list(Number.MAX_SAFE_INTEGER), args);
        return { entries: mergedAudit(atBroker, atHosts, args.limit ?? 50) };
      },
      'orchestrator.sagas': async (args) => {
        await resumed.promise;
        return { sagas: sagas.list({ ...args, limit: args.limit ?? 50 }), damaged: sagas.damaged() };
      },
      'orchestrator.saga': async ({ id }) => {
        await resumed.promise;
        const { saga, journal } = sagas.show(id);
        return { saga, journal: journal.map((line) => withoutScript({ ...line })) };
      },
      'orchestrator.abort': async ({ id }, call) => {
        await resumed.promise;
        return sagas.abort(id, call.issuer);
      },
      'orchestrator.resume': async ({ id }, call) => {
        await resumed.promise;
        return sagas.again(id, call.issuer);
      },
    },
    async start() {
      await marks
        .load()
        .catch((error: unknown) => context.log.error({ error: String(error) }, 'evacuated hosts'));
      await pool.start();
      await history.start();
      await epochs.start();
      await owed.start();
      await relief.start();
      await removed
        .start()
        .catch((error: unknown) => context.log.error({ error: String(error) }, 'removed vservers'));
      await audit?.start();
      context.bus.onConnect(() => {
        if (connected) return;
        connected = true;
        void pool.settled(SETTLE_MS).then((isHeard) => {
          if (!isHeard) context.log.info('not every host was heard; sagas go on without them');
          sagas.resume();
          resumed.resolve();
          relief.begin();
          void clearPruned();
        });
      });
    },
    async stop() {
      await history.stop();
      await epochs.stop();
      owed.stop();
      relief.stop();
      await removed.stop();
      await audit?.close();
      sagas.close();
    },
  };
}
