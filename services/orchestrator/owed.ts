import { z } from 'zod';
import { hostName, id, name } from '../../shared/contract/names.ts';
import type { Context } from '../../shared/service.ts';
import { readJson, writeJson } from '../../shared/store.ts';
import type { Pool } from './pool.ts';

const one = z.strictObject({ host: hostName, name, saga: id });
type Debt = z.infer<typeof one>;
const file = z.strictObject({ version: z.literal(1), owed: z.array(one).max(10_000) });
/** How often (ms) it is looked whether such a host is back. */
const LOOK_MS = 3000;

/**
 * What sagas could not undo on hosts that were said to be dead (STATE_DIR/owed.json): their snapshots, staging, endpoints
 * and locks go once the saga has ended and such a host comes back after all, and a copy that was in its place but that it
 * never owned. What it did own by that saga stays, owned by nobody, for a person to see: it may have run there.
 */
export function openOwed(
  { bus, settings, log }: Pick<Context, 'bus' | 'settings' | 'log'>,
  pool: Pick<Pool, 'isOnline'>,
  /** Has the saga ended? Until then all that is there may be its own. */
  isOver: (saga: string) => boolean,
) {
  const path = `${settings.STATE_DIR}/owed.json`;
  let owed: Debt[] = [];
  let timer: NodeJS.Timeout | undefined;
  let busy = false;
  const write = () => writeJson(path, file, { version: 1, owed });

  const isSame = (a: Debt) => (b: Debt) => a.host === b.host && a.saga === b.saga;
  async function drop(debt: Debt): Promise<void> {
    owed = owed.filter((other) => !isSame(debt)(other));
    await write();
  }
  async function pay(debt: Debt): Promise<void> {
    const { host, ...both } = debt;
    await bus.request(host, 'transfer.close', both);
    await bus.request(host, 'snapshot.remove', both, { timeoutMs: 600_000 });
    const { records } = await bus.request(host, 'host-agent.ownership', { name: debt.name });
    if (!records.some((record) => record.owner || record.saga === debt.saga)) {
      await bus.request(host, 'host-agent.detach', both);
      await bus.request(host, 'snapshot.evict', both);
    }
    await bus.request(host, 'snapshot.discard', both, { timeoutMs: 600_000 });
    await bus.request(host, 'host-agent.unlock', both);
    await drop(debt);
    log.info(debt, 'a host is back, and what an ended saga had left there is gone');
  }
  async function look(): Promise<void> {
    if (busy) return;
    busy = true;
    for (const debt of owed.filter(({ host, saga }) => pool.isOnline(host) && isOver(saga)))
      await pay(debt).catch((error: unknown) =>
        log.warn({ ...debt, error: String(error) }, 'what an ended saga has left is still there'),
      );
    busy = false;
  }
  return {
    look,
    all: (): readonly Debt[] => owed,
    async add(debt: Debt): Promise<void> {
      if (!owed.some(isSame(debt))) owed.push(debt);
      await write();
    },
    drop,
    async start(): Promise<void> {
      owed = (await readJson(path, file))?.owed ?? [];
      timer = setInterval(() => void look(), LOOK_MS);
    },
    stop: () => clearInterval(timer),
  };
}
export type Owed = ReturnType<typeof openOwed>;
