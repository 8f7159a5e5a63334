import type { HostInfo } from '../../../shared/contract/host.ts';
import type { Network } from '../../../shared/contract/network.ts';
import type { SagaState } from '../../../shared/contract/saga.ts';
import type { Limits } from '../../../shared/contract/limits.ts';
import type { CreatePlan } from './create-plan.ts';
import { groups, size } from '../text.ts';
import type { Original } from './original.ts';
import type { Deciding } from './planned.ts';
import { addressesOf } from '../../../shared/interfaces.ts';

/** What is known of a source before anything is built: a sentence, the text of its .info file, bytes on a disk (0: not known). */
export interface Source {
  text: string;
  info?: string | undefined;
  disk: number;
  unknown: boolean;
}
/** Files take so many times the room of their packed template. */
const UNPACKED = 4;
/** So much of a text of a template goes into the state of a saga. */
const MOST_INFO = 1000;

/** Looks at a source; one that nobody knows is not refused here. */
export async function sourceOf(
  { context }: Pick<Deciding, 'context'>,
  source: string,
  original: Original | undefined,
): Promise<Source> {
  if (original) {
    const { of, host, bytes, snapshot } = original.clone;
    const live =
      original.vserver.state === 'running' ? (snapshot ? ', from a snapshot' : ', while it runs') : '';
    const text = `a copy of ${of} on ${host}, ${size(bytes)} in ${groups(original.files)} files${live}; machine id, ssh host keys, names and address are its own`;
    return { text, disk: snapshot ? 0 : bytes, unknown: false };
  }
  const look = await context.bus.request('master', 'template.look', { source });
  return {
    text: look.text,
    info: look.info?.slice(0, MOST_INFO),
    disk: (look.bytes ?? 0) * UNPACKED,
    unknown: look.kind === 'unknown',
  };
}

const binary = (bytes: number): string =>
  bytes >= 1024 ** 3 ? `${+(bytes / 1024 ** 3).toFixed(1)} GiB` : `${+(bytes / 1024 ** 2).toFixed(1)} MiB`;

/** Limits for people; those that this version does not know by name, too. */
export function limitsText(limits: Limits): string {
  const parts = Object.entries(limits).flatMap(([key, value]) => {
    if (value === undefined) return [];
    if (key === 'procs') return [`${String(value)} processes`];
    if (key === 'cpu') return [`${String(value)} cores`];
    if (key.endsWith('_bytes') && typeof value === 'number')
      return [`${key.slice(0, -'_bytes'.length).replaceAll('_', ' ')} ${binary(value)}`];
    return [
      `${key.replaceAll('_', ' ')} ${typeof value === 'object' ? JSON.stringify(value) : String(value)}`,
    ];
  });
  return parts.join(', ') || 'none';
}

/** What a create will do, for people to agree to. */
export function summaryOf({
  plan,
  network,
  info,
  why,
  from,
}: {
  plan: CreatePlan;
  network: Network;
  info: HostInfo;
  why: string;
  from: Source;
}): NonNullable<SagaState['summary']> {
  const { config, sshKeys = [], postInstall } = plan;
  const { address, prefix, address6, prefix6, domain, nameserver } = config;
  const via = address === undefined ? network.gateway6 : network.gateway;
  const gateway = via ? `, gateway ${via}` : '';
  const rooms = `${size(info.mem_free_bytes)} of memory and ${size(info.storage.free)} of disk are free there`;
  const script =
    postInstall === undefined
      ? ''
      : `a script of ${size(Buffer.byteLength(postInstall))} runs in it once; what it needs of the network, firewall.conf must allow`;
  const lines: [string, string][] = [
    ['name', domain ? `${config.name}.${domain}` : config.name],
    [
      'address',
      [address && `${address}/${prefix}`, address6 && `${address6}/${prefix6 ?? 64}`]
        .filter(Boolean)
        .join(', '),
    ],
    [
      'network',
      `${network.name} (VLAN ${network.vlan}${gateway})${nameserver ? `, nameserver ${nameserver}` : ''}`,
    ],
    ['also', addressesOf({ more: config.more }).join(', ')],
    ['host', `${info.host}, ${why}; ${rooms}`],
    ['source', from.text],
    ['info', from.info ?? ''],
    ['limits', limitsText(config.limits)],
    [
      'user ids',
      config.idmap === 0 ? 'PRIVILEGED: those of the host; whoever is root in it can harm the host' : '',
    ],
    ['ssh keys', sshKeys.length > 0 ? `${sshKeys.length} for root` : ''],
    ['script', script],
    ['start', startText(plan)],
  ];
  return lines.flatMap(([what, text]) => (text ? [{ what, text }] : []));
}

function startText({ start, config, postInstall }: CreatePlan): string {
  const now = start
    ? 'started now'
    : postInstall === undefined
      ? 'not started now'
      : 'started for its script, then stopped';
  return `${now}, ${config.enabled ? 'and at each boot of its host' : 'not at boot'}`;
}
