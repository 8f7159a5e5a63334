import { VsError } from '../../shared/errors.ts';
import type { Call, Context, Service } from '../../shared/service.ts';
import type { Args } from '../../shared/contract/commands.ts';
import type { SagaState } from '../../shared/contract/saga.ts';
import { readAudit } from './audit.ts';
import { openEpochs } from './epochs.ts';
import { openHeardAudit } from './heard-audit.ts';
import { openHistory } from './history.ts';
import { openOwed } from './owed.ts';
import { planners } from './planner.ts';
import type { Deciding, Planned } from './plans/planned.ts';
import { lost, planRecover } from './plans/recover.ts';
import { openPool } from './pool.ts';
import { sagaRunner } from './runner.ts';
import { trashOf } from './trash.ts';

/** The orchestrator: knows the pool, and moves, creates and removes vservers by sagas. */
export function service(context: Context): Service {
  const pool = openPool(context);
  const sagas = sagaRunner(context, pool);
  const epochs = openEpochs(context);
  const owed = openOwed(context, pool);
  const history = openHistory(context);
  const audit = openHeardAudit(context);
  let connected = false;
  /** Before the sagas of a former life hold their vservers, no other may begin, and a list would not be true. */
  const resumed = Promise.withResolvers<void>();

  async function answer(begun: { state: SagaState; ended: Promise<SagaState> }, wait: boolean | undefined) {
    if (!wait) return { saga: begun.state.id, state: begun.state };
    const state = await begun.ended;
    if (state.result === 'undone')
      throw new VsError('failed', state.message ?? 'undone', { details: { saga: state.id } });
    if (state.result === 'stuck')
      throw new VsError('stuck', state.message ?? 'stuck', { details: { saga: state.id } });
    return { saga: state.id, state };
  }
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
      const planned = await plan({ context, pool, epochs, past: () => sagas.list(200) }, args);
      if (over) {
        if (args.dryRun === true) planned.over = over.id; // else it has ended by now
        planned.title += `; the ${over.kind} ${over.id} that waits for that host is ended`;
      }
      return answer(sagas.begin(planned, { ...args }, call.issuer, args.dryRun === true), args.wait);
    };

  /** The saga that has a vserver and would wait for its dead host, as a get or a move that had just begun. */
  function waitsFor(name: string): SagaState | undefined {
    const { host } = lost(pool, name);
    return sagas
      .list(1000)
      .find(
        (one) =>
          ['running', 'stuck'].includes(one.result) &&
          one.vserver === name &&
          one.steps.some((step) => step.host === host),
      );
  }
  /** A recover; what waits for the dead host is ended by it, once nothing else is in its way. */
  async function recover(args: Args<'orchestrator.recover'>, call: Call) {
    await resumed.promise;
    await planRecover({ context, pool, epochs }, args);
    const over = waitsFor(args.name);
    if (over && args.dryRun !== true) {
      const { host } = lost(pool, args.name);
      const ended = await sagas.forsake(over.id, host, call.issuer);
      if (ended.result === 'stuck') throw new VsError('stuck', ended.message ?? `saga ${over.id} is stuck`);
      await owed.add({ host, name: args.name, saga: over.id });
    }
    return begin('recover')(args, call, over);
  }

  return {
    name: 'orchestrator',
    handlers: {
      'orchestrator.scan': async (args) => ({
        rows: pool.rows(args),
        hosts: pool
          .hosts()
          .map((host) => ({ host, state: pool.isOnline(host) ? ('online' as const) : ('offline' as const) })),
      }),
      'orchestrator.hosts': async () => ({
        hosts: pool.hosts().map((host) => {
          const here = pool.all().filter((one) => one.host === host);
          const running = here.filter((one) => one.state === 'running').length;
          return {
            ...pool.info(host),
            host,
            state: pool.isOnline(host) ? ('online' as const) : ('offline' as const),
            vservers: here.length,
            running,
          };
        }),
      }),
      'orchestrator.locate': async ({ name }) => {
        const { host, state } = pool.locate(name);
        return { host, state, online: pool.isOnline(host) };
      },
      'orchestrator.move': begin('move'),
      'orchestrator.create': begin('create'),
      'orchestrator.remove': begin('remove'),
      'orchestrator.get': begin('get'),
      'orchestrator.put': begin('put'),
      'orchestrator.recover': recover,
      'orchestrator.forget': begin('forget'),
      'orchestrator.copies': () => context.bus.request('master', 'snapshot.copies', {}),
      'orchestrator.copy': begin('copy'),
      'orchestrator.rename': begin('rename'),
      'orchestrator.restore': begin('restore'),
      'orchestrator.trash': (args) => trashOf({ context, pool, epochs }, args),
      'orchestrator.events': async ({ limit }) => ({ events: history.list(limit ?? 50) }),
      'orchestrator.audit': async (args) => ({ entries: await readAudit(context.settings.STATE_DIR, args) }),
      'orchestrator.sagas': async ({ limit }) => {
        await resumed.promise;
        return { sagas: sagas.list(limit ?? 50) };
      },
      'orchestrator.saga': async ({ id }) => {
        await resumed.promise;
        const { saga, journal } = sagas.show(id);
        return { saga, journal: journal.map((line) => ({ ...line })) };
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
      await pool.start();
      await history.start();
      await epochs.start();
      await owed.start();
      await audit?.start();
      context.bus.onConnect(() => {
        if (connected) return;
        connected = true;
        setTimeout(() => {
          sagas.resume();
          resumed.resolve();
        }, 500); // the hosts' retained states arrive first
      });
    },
    async stop() {
      await history.stop();
      await epochs.stop();
      owed.stop();
      await audit?.close();
    },
  };
}
