import type { ScanRow } from '../../shared/contract/orchestrator.ts';
import type { SagaState } from '../../shared/contract/saga.ts';
import type { Context } from '../../shared/service.ts';
import type { Place } from './due.ts';

/** Each vserver once, where its owner is: the highest epoch; 0 is files that nobody owns. */
export function placesOf(rows: ScanRow[]): Place[] {
  const owners = new Map<string, ScanRow & { vserver: string }>();
  for (const row of rows) {
    const { vserver, epoch } = row;
    if (vserver === null || (epoch ?? 0) === 0) continue;
    if ((epoch ?? 0) > (owners.get(vserver)?.epoch ?? 0)) owners.set(vserver, { ...row, vserver });
  }
  return [...owners.values()].map(({ vserver, host, state }) => ({
    name: vserver,
    host,
    online: state !== 'unknown',
  }));
}

/** Where the vservers are, and what is at work on them. Waits until the orchestrator has heard the pool. */
export async function lookAtPool({ bus }: Pick<Context, 'bus'>): Promise<{
  vservers: Place[];
  /** Sagas that have not ended. */
  sagas: SagaState[];
}> {
  const { rows } = await bus.request('master', 'orchestrator.scan', {}, { timeoutMs: 60_000 });
  const { sagas } = await bus.request('master', 'orchestrator.sagas', { running: true, limit: 1000 });
  return { vservers: placesOf(rows), sagas };
}

/** Why backups of a vserver are needed where they are: a saga that reads them, or adds to them, runs. */
export function reasonToHold(sagas: SagaState[], vserver: string): string | undefined {
  const one = sagas.find(
    ({ kind, result, vserver: of, args, also = [] }) =>
      result !== 'done' &&
      result !== 'undone' &&
      (kind === 'backup' || kind === 'backup-restore') &&
      (of === vserver || args['name'] === vserver || also.includes(vserver)),
  );
  return one && `${one.kind} ${one.id} runs`;
}
