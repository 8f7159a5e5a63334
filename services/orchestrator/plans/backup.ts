import type { BackupMode, BackupRecord } from '../../../shared/contract/backup.ts';
import type { Args, Data } from '../../../shared/contract/commands.ts';
import type { VserverState } from '../../../shared/contract/vserver.ts';
import { VsError } from '../../../shared/errors.ts';
import { shown } from '../estimate.ts';
import type { Route } from '../passes.ts';
import { groups, size } from '../text.ts';
import { carriageText, channels } from '../transport.ts';
import type { Deciding, Planned } from './planned.ts';
import { ready, wire } from './wire.ts';

/** What the saga carries out. */
export interface BackupPlan extends Route {
  files: number;
  kind: BackupRecord['kind'];
  mode: BackupMode;
  /** It runs, and is stopped for its data, and started again. */
  stop: boolean;
  repository: string;
  uuid: string;
  epoch: number;
  running: boolean;
  enabled: boolean;
}

/** The repository that is meant when none is named. */
export const MAIN = 'main';

/** A repository that can be used now. Throws VsError 'not-found' or 'refused'. */
export async function requireRepository(
  { context }: Deciding,
  name: string,
): Promise<Data<'repository.info'>['repositories'][number]> {
  const ask = (args: Args<'repository.info'>) =>
    context.bus.request('master', 'repository.info', args, { timeoutMs: 60_000 });
  const [found] = (await ask({ repository: name })).repositories;
  if (!found) {
    const { repositories } = await ask({});
    throw new VsError(
      'not-found',
      `there is no repository ${name}; repositories.conf of the master has ${repositories.map((one) => one.name).join(', ')}`,
    );
  }
  if (found.fault !== undefined) throw new VsError('refused', found.fault);
  return found;
}

/** How the data of a backup is taken, and whether it is stopped for that. What a person has stopped or paused stays as it is. */
export function takingOf(
  vserver: Pick<VserverState, 'name' | 'state'>,
  mode: 'hot' | 'cold',
  bySnapshot: boolean,
): Pick<BackupPlan, 'kind' | 'stop'> {
  const { name, state } = vserver;
  if (!['running', 'stopped', 'frozen', 'broken'].includes(state))
    throw new VsError('refused', `${name} is ${state}; wait until it runs or is stopped`);
  const stop = mode === 'cold' && state === 'running';
  if (bySnapshot) return { kind: 'snapshot', stop };
  return { kind: state === 'running' && !stop ? 'live' : 'stopped', stop };
}

const ways = (kind: BackupPlan['kind'], stop: boolean): string =>
  kind === 'live'
    ? 'from the live files'
    : kind === 'snapshot'
      ? `from a snapshot${stop ? ', stopped for it' : ''}`
      : stop
        ? 'stopped meanwhile'
        : 'as it is stopped';

/** Decides a backup; refuses with a sentence before anything is journaled or changed. */
export async function planBackup(deciding: Deciding, args: Args<'orchestrator.backup'>): Promise<Planned> {
  const { context, pool } = deciding;
  const { name, mode = 'hot', repository = MAIN, bandwidth } = args;
  const vserver = pool.locate(name);
  const { host, uuid, epoch, state, enabled } = vserver;
  const source = pool.requireHost(host);
  if (epoch < 1) throw new VsError('refused', `${host} does not own ${name}, so what it has may be old`);
  const at = (await requireRepository(deciding, repository)).host ?? 'master';
  if (at !== 'master') pool.requireHost(at);
  const { bytes, files, nested } = await context.bus.request(
    host,
    'snapshot.usage',
    { name },
    { timeoutMs: 600_000 },
  );
  const taking = takingOf(vserver, mode, source.storage.capabilities.snapshot && !nested);
  const { wish, ...wired } = await wire(deciding, host, at);
  const carriage = { copy: 'rsync' as const, channel: channels[wish] };
  await ready(deciding, carriage, host, at);
  const plan: BackupPlan = {
    name,
    source: host,
    target: at,
    sourceAddress: source.address,
    ...carriage,
    bytes,
    files,
    ...taking,
    mode,
    repository,
    uuid,
    epoch,
    running: state === 'running',
    enabled,
    ...wired,
    ...(bandwidth === undefined ? {} : { bwlimit: Math.min(bandwidth, wired.bwlimit ?? bandwidth) }),
  };
  const way = carriageText(carriage);
  return {
    kind: 'backup',
    plan,
    vserver: name,
    shows: shown({ ...plan, way }, deciding.past?.() ?? []),
    title: `${name}: backup of ${host} -> ${repository}${at === 'master' ? '' : ` on ${at}${at === host ? ', the same host' : ''}`}, ${size(bytes)} in ${groups(files)} files, ${ways(taking.kind, taking.stop)}, ${way}`,
  };
}
