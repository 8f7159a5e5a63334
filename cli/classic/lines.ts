import type { BackupRun } from '../../shared/contract/backup-scheduler.ts';
import type { LimitRow } from '../../shared/contract/limits.ts';
import type { NewestFigures } from '../../shared/contract/history.ts';
import type { ScanRow } from '../../shared/contract/orchestrator.ts';
import type { PackageInfo } from '../../shared/contract/packages.ts';
import type { SagaState } from '../../shared/contract/saga.ts';
import type { VserverConfig, VserverState } from '../../shared/contract/vserver.ts';

const MB = 1024 * 1024;

/** `host:vserver:enabled:running`; `host:EMPTY` and `host:UNREACHABLE` for hosts without. `hosts`: those that were asked about. */
export function scanLines(rows: ScanRow[], hosts: string[]): string[] {
  const lines = rows.flatMap((row) =>
    row.vserver === null
      ? [`${row.host}:UNREACHABLE`]
      : row.state === 'unknown'
        ? []
        : [stateLine({ host: row.host, name: row.vserver, enabled: row.enabled === true, state: row.state })],
  );
  const empty = hosts.filter((host) => !rows.some((row) => row.host === host));
  return [...lines, ...empty.map((host) => `${host}:EMPTY`)].sort();
}

/** What is not stopped counts as running, as the classic knew no other states. */
export const stateLine = (one: { host: string; name: string; enabled: boolean; state: string }): string =>
  `${one.host}:${one.name}:${one.enabled ? 'enabled' : 'disabled'}:${one.state === 'stopped' ? 'stopped' : 'running'}`;

/** `host:name:running`: it is watched, runs, and there is something to watch. */
export const monitorLine = (
  host: string,
  view: { name: string; enabled: boolean; running: boolean; checks: unknown[] },
): string =>
  `${host}:${view.name}:${view.enabled && view.running && view.checks.length > 0 ? 'running' : 'stopped'}`;

/**
 * `host:vserver:address:vlan:route:fw in:fw out`, each up or down. What runs has its address and its route: it does not start
 * without. `walls`: who has rules in force, `host:vserver`; they are of both directions.
 */
export const netLines = (
  rows: ScanRow[],
  {
    networks,
    walls,
  }: {
    networks: { network: { name: string }; hosts: { host: string; up: boolean | null }[] }[];
    walls: Set<string>;
  },
): string[] =>
  rows
    .map(({ host, vserver, state, network }) => {
      const of = networks.find((one) => one.network.name === network);
      const vlan = of?.hosts.find((one) => one.host === host)?.up ? 'up' : 'down';
      const its = state === 'stopped' ? 'down' : 'up';
      const wall = walls.has(`${host}:${vserver}`) ? 'up' : 'down';
      return [host, vserver, its, vlan, its, wall, wall].join(':');
    })
    .toSorted();

/** Names of resources as the classic called them, and what its numbers are in. */
const resources: Partial<Record<LimitRow['key'], { name: string; unit: number }>> = {
  memory_bytes: { name: 'rss', unit: MB },
  disk_bytes: { name: 'disk', unit: MB },
  tmp_bytes: { name: 'tmpfs', unit: MB },
  procs: { name: 'proc', unit: 1 },
  cpu: { name: 'cpu', unit: 1 },
};
const number = (value: number | null, unit: number) =>
  value === null ? '' : String(Math.round((100 * value) / unit) / 100);

/** `rss:used/limit`, sizes in MB; nothing behind the stroke: no limit. */
export const limitLines = (rows: LimitRow[]): string[] =>
  rows.flatMap(({ key, used, limit }) => {
    const known = resources[key];
    return known ? [`${known.name}:${number(used, known.unit)}/${number(limit, known.unit)}`] : [];
  });

/** Keys of the figures of today, as the classic called them; sizes in kB there, bytes here as everywhere in vs. */
const statNames: Record<string, string> = {
  uptime_seconds: 'uptime',
  procs: 'proc_used',
  procs_max: 'proc_max',
  procs_limit: 'proc_limit',
  procs_hits_total: 'proc_hits',
  load_1: 'loadavg_1',
  load_5: 'loadavg_5',
  load_15: 'loadavg_15',
  mem_bytes: 'rss_used',
  mem_max_bytes: 'rss_max',
  mem_limit_bytes: 'rss_limit',
  mem_hits_total: 'rss_hits',
  disk_bytes: 'disk_used',
  disk_limit_bytes: 'disk_limit',
  tmp_bytes: 'tmpfs_used',
  tmp_limit_bytes: 'tmpfs_limit',
  vservers_hosted: 'hosted_vservers',
  vservers_running: 'running_vservers',
};

/** `key:value` lines of one host or vserver. */
export function statLines(
  subject: NewestFigures,
  of?: { state: VserverState; config: VserverConfig },
): string[] {
  const { kind, name, host, state, figures } = subject;
  const facts: [string, string | number | undefined][] = [
    ['host', host],
    ...(kind === 'vserver' ? ([['vserver', name]] as [string, string][]) : []),
    ['state', state],
    ['address', of?.config.address],
    ['domain', of?.config.domain],
    ['nameserver', of?.config.nameserver],
    ['vlan', of?.config.network],
  ];
  const lines = facts.flatMap(([key, value]) =>
    value === undefined || value === '' ? [] : [`${key}:${value}`],
  );
  for (const [key, value] of Object.entries(figures))
    if (key !== 'ts') lines.push(`${statNames[key] ?? key}:${value}`);
  return lines;
}

/** What a move took, in seconds: `total:SECONDS`, `stopped:SECONDS`. */
export function moveLines(saga: SagaState): string[] {
  const seconds = (ms: number | undefined) => ((ms ?? 0) / 1000).toFixed(2);
  return [
    `total:${seconds((saga.ended ?? saga.started) - saga.started)}`,
    `stopped:${seconds(saga.downtimeMs)}`,
  ];
}

/** `package:version`, of upgrades `package:version:candidate`, of a search `package:what it is`. */
export const packageLines = (packages: PackageInfo[]): string[] =>
  packages.map((one) =>
    [
      one.package,
      ...(one.version === undefined ? [] : [one.version]),
      ...(one.candidate === undefined ? [] : [one.candidate]),
      ...(one.version === undefined && one.candidate === undefined ? [one.summary ?? ''] : []),
    ].join(':'),
  );

/** `vserver:SECONDS`, or `vserver:FAILED:why`, and `total:SECONDS`; `ms`: how long all of it took. */
export const backupLines = (runs: BackupRun[], ms: number): string[] => [
  ...runs.map((one) =>
    one.ok
      ? `${one.vserver}:${((one.ms ?? 0) / 1000).toFixed(1)}`
      : `${one.vserver}:FAILED:${(one.message ?? '').replaceAll(/\s+/g, ' ')}`,
  ),
  `total:${(ms / 1000).toFixed(1)}`,
];
