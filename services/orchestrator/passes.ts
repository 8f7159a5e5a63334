import type { Data } from '../../shared/contract/commands.ts';
import type { Channel, CopyWay, PassKind } from '../../shared/contract/transfer.ts';
import { VsError } from '../../shared/errors.ts';
import type { Agents } from './agent.ts';
import type { StepContext } from './executor.ts';
import { size } from './text.ts';

export interface Route {
  name: string;
  /** Its name on the source, where it is another one (a clone). */
  of?: string;
  source: string;
  target: string;
  sourceAddress: string;
  copy: CopyWay;
  channel: Channel;
  bytes: number;
  /** Bytes a second, and compression, by slaves.conf. */
  bwlimit?: number;
  compress?: boolean;
  /** rsync: this snapshot of the source, which is there already, and not its live tree. */
  label?: string;
  /** btrfs-send: of this kept snapshot of the source. */
  kept?: string;
  /** rsync: the tree that this saga has put into the trash of the source. */
  trash?: string;
  /** rsync compares both trees in every pass, whatever is known of what changed. */
  full?: true;
}
interface Pass {
  bytes: number;
  ms: number;
  /** By the clock of the source. */
  began: number;
  treeBytes?: number;
  treeFiles?: number;
  label?: string;
  /** Why a pass of what changed became one of everything. */
  full?: string;
  /** The life of the target in which it came. */
  life?: string;
}

const TTL = 12 * 3_600_000;
/** A connection that broke is tried again so often before the saga is undone. */
const TRIES = 3;
/** A pass that took less (ms) is enough: what is left then costs less than another pass would save. */
const QUICK = 250;
/** How many further passes there are at most. Of rsync each walks over all files of the source (some microseconds a file). */
const MOST: Record<CopyWay, number> = { 'btrfs-send': 5, rsync: 3 };

/** What a pass did, as people read it. */
export const passText = ({ bytes, full }: { bytes: number; full?: string }): string =>
  full === undefined ? size(bytes) : `${size(bytes)}; all files were compared, for ${full}`;

/**
 * How rsync takes a pass: the first one by a stream, into an empty tree; what has been begun once, and a copy without a pass
 * before it, by comparing both trees; else by a list of what changed.
 */
function kindOf(route: Route, options: Options, attempt: number): PassKind {
  if (route.full) return 'full';
  if (options.since !== undefined) return 'list';
  return options.final || attempt > 1 ? 'full' : 'stream';
}

/**
 * One pass: snapshot where the transport needs it, an endpoint, the copy. Secrets stay in memory. The ids of its
 * commands stay the same over a restart of the orchestrator, so a copy in flight is joined.
 */
export async function pass(
  agents: Agents,
  route: Route,
  context: StepContext,
  options: Options,
): Promise<Pass> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await once(agents, route, context, {
        ...options,
        tag: attempt === 1 ? options.tag : `${options.tag}_${attempt}`,
        kind: kindOf(route, options, attempt),
        ...(attempt > 1 ? { armed: undefined } : {}),
      });
    } catch (error) {
      if (!(error instanceof VsError) || context.signal.aborted) throw error;
      const onTarget = (message: string) =>
        new VsError(error.code, message, { details: { host: route.target }, cause: error });
      if (error.details?.['side'] === 'target') throw onTarget(error.message);
      if (!error.retryable && error.code !== 'failed') throw error;
      const both = { name: route.name, saga: context.id, again: true };
      const close = (host: string) =>
        agents
          .ask(host, 'transfer.close', both, context, { tag: `${options.tag}_${attempt}` })
          .catch((closing: unknown) => {
            throw error.retryable ? closing : error;
          });
      await close(route.source);
      const { full } = await close(route.target);
      if (full !== undefined) throw onTarget(`no space left for the copy: ${full}`);
      if (!error.retryable || attempt >= TRIES) throw error;
    }
  }
}

interface Options {
  final: boolean;
  tag: string;
  total?: number;
  /** When the pass before began: what changed since is sent whatever its size and times say (rsync). */
  since?: number | undefined;
  /** What `arm` has opened for it; a second try opens its own. */
  armed?: Armed | undefined;
}
/** An endpoint to which the source is connected already. It has a secret in it: in memory only. */
type Armed = Data<'transfer.open'>;

/** Opens an endpoint; `kind` says what rsync will send there. */
const open = (
  agents: Agents,
  route: Route,
  context: StepContext,
  tag: string,
  kind: PassKind,
  live: boolean,
): Promise<Armed> =>
  agents.ask(
    route.target,
    'transfer.open',
    {
      name: route.name,
      saga: context.id,
      copy: route.copy,
      channel: route.channel,
      fromHost: route.source,
      from: route.sourceAddress,
      ttl: TTL,
      ...(route.copy === 'rsync' ? { kind } : {}),
      ...(live ? { live } : {}),
    },
    context,
    { tag },
  );

/** The label of the pass after the one that arrived last. */
const nextLabel = (copy: CopyWay, last: string | undefined): string | undefined =>
  copy === 'btrfs-send' ? `p${last ? Number(last.slice(1)) + 1 : 0}` : undefined;

/**
 * Opens the endpoint of the final pass and connects the source to it, while the vserver still runs. When that fails,
 * or a later life of the orchestrator knows nothing of it, the final pass opens its own, and says what is wrong.
 */
export async function arm(agents: Agents, route: Route, context: StepContext): Promise<Armed | undefined> {
  const { name, source, target, copy, channel } = route;
  try {
    const opened = await open(agents, route, context, 'arm', 'list', false);
    const { address, port } = opened;
    const label = nextLabel(copy, opened.received.at(-1));
    const secret = agents.seal(source, opened.secret);
    const args = { name, saga: context.id, copy, channel, toHost: target, address, port, secret };
    await agents.ask(source, 'transfer.connect', { ...args, ...(label ? { label } : {}) }, context);
    return opened;
  } catch (error) {
    if (context.signal.aborted) throw error;
    return undefined;
  }
}

async function once(
  agents: Agents,
  route: Route,
  context: StepContext,
  options: Options & { kind: PassKind },
): Promise<Pass> {
  const { name, source, target, copy, channel } = route;
  const { tag, since, kind } = options;
  const saga = context.id;
  const opened =
    options.armed ??
    (await open(agents, route, context, tag, since === undefined ? kind : 'list', !options.final));
  const parent = opened.received.at(-1);
  const label = copy === 'btrfs-send' ? nextLabel(copy, parent) : route.label;
  const args = {
    name: route.of ?? name,
    saga,
    copy,
    channel,
    toHost: target,
    address: opened.address,
    port: opened.port,
    secret: agents.seal(source, opened.secret),
    final: options.final,
    ...(copy === 'rsync' ? { kind, ...(since === undefined ? {} : { since }) } : {}),
    // a snapshot of a try that did not arrive is older than what we want to send now
    ...(label
      ? {
          label,
          ...(copy === 'btrfs-send' ? { renew: true, ...(route.kept ? { kept: route.kept } : {}) } : {}),
        }
      : {}),
    ...(route.trash ? { trash: route.trash } : {}),
    ...(parent ? { parent } : {}),
    ...(route.bwlimit ? { bwlimit: route.bwlimit } : {}),
    ...(route.compress ? { compress: true } : {}),
    ...(options.total ? { total: options.total } : {}),
  };
  const life = agents.life?.(target);
  const sent = await agents.ask(source, 'transfer.send', args, context, {
    // what was sent to an endpoint that ended with its host is no answer for the next one
    tag: `${tag}-${opened.port}`,
    timeoutMs: TTL,
    onProgress: (progress) => context.progress(progress),
  });
  return { ...sent, ...(label ? { label } : {}), ...(life ? { life } : {}) };
}

/** The copies while it runs: the seed, then further passes while they are long and still get shorter. */
export async function livePasses(
  agents: Agents,
  route: Route,
  context: StepContext,
): Promise<{ bytes: number; label?: string; began: number }> {
  const both = { name: route.name, saga: context.id };
  const flush = (tag: string) =>
    agents.ask(route.target, 'transfer.flush', both, context, { tag, timeoutMs: 600_000 });
  const seed = await pass(agents, route, context, { final: false, tag: 'seed', total: route.bytes });
  await flush('flush0');
  context.say(passText(seed));
  let { bytes, label, began } = seed;
  let before = Infinity;
  for (let count = 1; count <= MOST[route.copy]; count++) {
    context.next(`delta ${count}`);
    const delta = await pass(agents, route, context, { final: false, tag: `delta${count}`, since: began });
    await flush(`flush${count}`); // the start on the target must not wait for the disk
    context.say(passText(delta));
    bytes += delta.bytes;
    ({ label, began } = delta);
    if (delta.ms < QUICK || delta.ms > before * 0.7) break;
    before = delta.ms;
  }
  return { bytes, began, ...(label ? { label } : {}) };
}
