import type { Args } from '../../../shared/contract/commands.ts';
import type { PackageInfo, UpdateLook } from '../../../shared/contract/update.ts';
import { DATA_VERSION } from '../../../shared/data-version.ts';
import { VsError } from '../../../shared/errors.ts';
import { findPackage } from '../packages.ts';
import { hosts, size } from '../text.ts';
import type { Deciding, Planned } from './planned.ts';
import { type Decision, decide } from './update-decide.ts';

/** What the saga of one host carries out. */
export interface UpdateHostPlan {
  host: string;
  from: string;
  to: string;
  /** Where the packages come from, as the host knows it. */
  sourceAddress: string;
  package: PackageInfo;
  /** To go back to; none with --one-way, where none is at hand. */
  back?: PackageInfo;
  /** The host has it not, and gets it from the master. */
  sendBack: boolean;
}
export interface UpdateHostsPlan {
  to: string;
  oneWay: boolean;
  hosts: { name: string; from: string; why?: string }[];
  /** Those that stay as they are, though they were asked for. */
  others: { name: string; why: string }[];
  /** So many run that version already. */
  current: number;
}

/** An agent that does not answer in time is not asked further (ms); a package is read for its checksum. */
const LOOK_MS = 30_000;

interface Seen {
  host: string;
  decision: Decision;
  look?: UpdateLook | undefined;
  package?: PackageInfo | undefined;
  back?: { info: PackageInfo; onMaster: boolean } | undefined;
}

/** What a host says of itself; undefined when its agent does not know the question. */
async function lookOf({ context }: Deciding, host: string): Promise<UpdateLook | undefined> {
  try {
    return await context.bus.request(host, 'host-agent.update-look', {}, { timeoutMs: LOOK_MS });
  } catch (error) {
    if (error instanceof VsError && error.code === 'usage') return undefined;
    throw error;
  }
}

async function backOf(
  deciding: Deciding,
  host: string,
  version: string,
  look: UpdateLook,
): Promise<Seen['back']> {
  const { bus, settings } = deciding.context;
  const { found } = await bus.request(host, 'host-agent.update-keep', { version }, { timeoutMs: LOOK_MS });
  if (found) return { info: found, onMaster: false };
  const info = await findPackage(settings.PACKAGE_DIR, version, look.architecture);
  return info && { info, onMaster: true };
}

/** Looks at a host and decides what becomes of it; changes nothing. */
async function see(deciding: Deciding, host: string, oneWay: boolean): Promise<Seen> {
  const { context, pool } = deciding;
  const { settings, version: to } = context;
  const online = pool.isOnline(host);
  const version = pool.info(host)?.version;
  const wanted = { version: to, data: DATA_VERSION, oneWay, directory: settings.PACKAGE_DIR };
  const nothing = { host, online, version, look: undefined, busy: [], hasPackage: false, hasBack: false };
  if (!online || version === undefined || version === to) return { host, decision: decide(nothing, wanted) };
  const look = await lookOf(deciding, host);
  if (!look || look.lacks !== undefined) return { host, decision: decide({ ...nothing, look }, wanted) };
  const [found, back] = await Promise.all([
    findPackage(settings.PACKAGE_DIR, to, look.architecture),
    backOf(deciding, host, version, look),
  ]);
  const running = (deciding.past?.() ?? []).filter(
    (one) =>
      one.result === 'running' &&
      !one.kind.startsWith('update-') &&
      one.steps.some((row) => row.host === host),
  );
  const facts = { ...nothing, look, hasPackage: found !== undefined, hasBack: back !== undefined };
  const decision = decide({ ...facts, busy: running.map((one) => one.id) }, wanted);
  return { host, decision, look, package: found, back };
}

/** Decides what becomes of the hosts that are named, or of all; refuses with a sentence when one that is named cannot be updated. */
export async function planUpdateHosts(
  deciding: Deciding,
  args: Args<'orchestrator.update-hosts'>,
): Promise<Planned> {
  const { context, pool } = deciding;
  const known = pool.hosts();
  for (const host of args.hosts ?? [])
    if (!known.includes(host))
      throw new VsError('not-found', `there is no host ${host}; the pool has ${known.join(', ') || 'none'}`);
  const oneWay = args.oneWay === true;
  const seen: Seen[] = [];
  for (const host of new Set(args.hosts ?? known))
    seen.push(
      await see(deciding, host, oneWay).catch((error: Error) => ({
        host,
        decision: { what: 'refused' as const, why: `${host} could not be looked at: ${error.message}` },
      })),
    );
  const plan: UpdateHostsPlan = { to: context.version, oneWay, hosts: [], others: [], current: 0 };
  for (const { host: name, decision } of seen) {
    if (decision.what === 'current') plan.current++;
    else if (decision.what === 'offline' || decision.what === 'refused')
      plan.others.push({ name, why: decision.why });
    else
      plan.hosts.push({
        name,
        from: decision.from,
        ...(decision.what === 'busy' ? { why: decision.why } : {}),
      });
  }
  if (args.hosts && plan.others.length > 0)
    throw new VsError('refused', plan.others.map(({ why }) => why).join('\n'));
  const stays = plan.others.length > 0 ? `; ${plan.others.length} cannot go` : '';
  return {
    kind: 'update-hosts',
    plan,
    vserver: 'master',
    title: `vs-tools ${plan.to} for ${hosts(plan.hosts.length)}, one after the other; ${plan.current} already of it${stays}`,
  };
}

/** Decides the update of one host when its turn comes; undefined when it runs that version by now. Throws VsError. */
export async function planUpdateHost(
  deciding: Deciding,
  host: string,
  oneWay: boolean,
): Promise<Extract<Planned, { kind: 'update-host' }> | undefined> {
  const { context, pool } = deciding;
  pool.requireHost(host);
  const { decision, package: found, back } = await see(deciding, host, oneWay);
  if (decision.what === 'current') return undefined;
  if (decision.what === 'offline') throw new VsError('refused', decision.why, { retryable: true });
  if (decision.what === 'refused') throw new VsError('refused', decision.why);
  if (!found) throw new VsError('refused', `there is no package of vs-tools for ${host}`);
  const { from } = decision;
  const to = context.version;
  const plan: UpdateHostPlan = {
    host,
    from,
    to,
    sourceAddress: context.settings.MANAGEMENT_ADDRESS,
    package: found,
    ...(back ? { back: back.info } : {}),
    sendBack: back?.onMaster === true,
  };
  return {
    kind: 'update-host',
    plan,
    vserver: host,
    host,
    title: `${host}: vs-tools ${from} -> ${to}, ${size(found.bytes)}; ${back ? `${from} is kept to go back to` : 'no way back'}`,
  };
}
