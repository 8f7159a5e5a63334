import type { Args } from '../../../shared/contract/commands.ts';
import { VsError } from '../../../shared/errors.ts';
import type { Deciding, Planned } from './planned.ts';

/** Decides what comes back to an evacuated host; refuses with a sentence before anything is changed. */
export async function planRestoreHost(
  { pool, marks }: Deciding,
  args: Args<'orchestrator.restore-host'>,
): Promise<Planned> {
  const { host } = args;
  pool.requireHost(host);
  const mark = marks.get(host);
  if (!mark) throw new VsError('refused', `${host} is not evacuated`);
  const vservers: { name: string; from: string }[] = [];
  const others: { name: string; why: string }[] = [];
  for (const { name, to } of mark.left) {
    const owned = pool.of(name).filter((one) => one.epoch > 0);
    const now = owned.find((one) => one.host === to) ?? owned[0];
    if (now?.host === to) vservers.push({ name, from: to });
    else if (!now) others.push({ name, why: `it went to ${to}, and is gone` });
    else if (now.host === host) others.push({ name, why: `it is on ${host} already` });
    else others.push({ name, why: `it went to ${to}, and is on ${now.host} now: left there` });
  }
  const aside = others.length > 0 ? `; ${others.map((one) => one.name).join(', ')} not` : '';
  return {
    kind: 'restore-host',
    plan: { host, parallel: args.parallel ?? 2, vservers, others },
    vserver: host,
    host,
    title: `${host}: bring back ${vservers.length} vservers${aside}`,
  };
}
