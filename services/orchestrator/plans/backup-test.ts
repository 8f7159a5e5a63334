import type { Args } from '../../../shared/contract/commands.ts';
import type { HostInfo } from '../../../shared/contract/host.ts';
import { VsError } from '../../../shared/errors.ts';
import { shown } from '../estimate.ts';
import { groups, moment, size } from '../text.ts';
import { type FromBackup, choose, comeTo } from './backup-chosen.ts';
import { beyond, candidates } from './choose.ts';
import type { Deciding, Planned } from './planned.ts';

/** `name`: what it is called while it is tried, by nobody else. */
export interface BackupTestPlan extends FromBackup {
  /** How long it may take to be up and well (ms). */
  patience: number;
}

/** How long a backup that is tried may take to be up and well, unless somebody says so (ms). */
const PATIENCE_MS = 180_000;

/** What a vserver is called while a backup of it is tried: a name that nobody of the pool has. */
export function trialName(of: string, taken: ReadonlySet<string>): string {
  for (let count = 1; ; count++) {
    const end = count === 1 ? '-test' : `-test${count}`;
    const name = `${of.slice(0, 32 - end.length)}${end}`;
    if (!taken.has(name)) return name;
  }
}

type Room = Pick<HostInfo, 'host' | 'cpus' | 'mem_bytes' | 'mem_free_bytes' | 'storage'>;

/** The host that tries it: the first that has room for it, of those that may be chosen. Throws VsError 'refused'. */
export function hostForTest(
  hosts: Room[],
  { bytes, memory }: { bytes: number; memory: number | undefined },
): string {
  const why = (one: Room): string | undefined =>
    one.storage.free < bytes * 1.1
      ? `${one.host} has ${size(one.storage.free)} of disk free, not ${size(bytes * 1.1)}`
      : one.mem_free_bytes < (memory ?? 0)
        ? `${one.host} has ${size(one.mem_free_bytes)} of memory free, not ${size(memory ?? 0)}`
        : undefined;
  const found = hosts.find((one) => why(one) === undefined);
  if (found) return found.host;
  throw new VsError(
    'refused',
    hosts.length === 0
      ? 'no host is online that may be chosen; name one with --host'
      : `no host that is online and may be chosen has room for it: ${hosts.map(why).join('; ')}; name one with --host`,
    { retryable: true },
  );
}

/** Decides the test of a backup; refuses with a sentence before anything is journaled or changed. */
export async function planBackupTest(
  deciding: Deciding,
  args: Args<'orchestrator.backup-test'>,
): Promise<Planned> {
  const { pool } = deciding;
  const backup = await choose(deciding, args);
  const { chosen, offer } = backup;
  const { repository, id, bytes, files, taken } = chosen;
  const { limits } = offer.config;
  if (args.host !== undefined) pool.requireHost(args.host);
  const hosts = args.host === undefined ? await candidates(deciding) : [args.host];
  const infos = hosts.map((host) => ({ ...pool.requireHost(host), host }));
  const host =
    args.host ??
    hostForTest(
      infos.filter((one) => !beyond(one, { limits, disk: 0 })),
      { bytes, memory: limits.memory_bytes },
    );
  const name = trialName(args.name, new Set(pool.all().map((one) => one.name)));
  const { plan: coming, way } = await comeTo(deciding, { name, host }, backup);
  const plan: BackupTestPlan = { ...coming, patience: args.patience ?? PATIENCE_MS };
  return {
    kind: 'backup-test',
    plan,
    vserver: plan.name,
    onto: host,
    shows: shown({ ...plan, way }, deciding.past?.() ?? []),
    title: `${args.name}: test of backup ${id} in ${repository}, as of ${moment(taken)}, on ${host} without a network, as ${plan.name}, ${size(bytes)} in ${groups(files)} files, ${way}`,
  };
}
