import type { Channel, CopyWay } from '../../shared/contract/transfer.ts';
import type { Data } from '../../shared/contract/commands.ts';
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
}
interface Pass {
  bytes: number;
  ms: number;
  /** By the clock of the source. */
  began: number;
  treeBytes?: number;
  treeFiles?: number;
  label?: string;
}

const TTL = 12 * 3_600_000;
/** A connection that broke is tried again so often before the saga is undone. */
const TRIES = 3;
/** A pass that took less (ms) is enough: what is left then costs less than another pass would save. */
const QUICK = 250;
/** How many further passes there are at most. rsync's second one costs a scan of all files, as the final one does. */
const MOST: Record<CopyWay, number> = { 'btrfs-send': 5, rsync: 1 };

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
        ...(attempt > 1 ? { armed: undefined } : {}),
      });
    } catch (error) {
      if (!(error instanceof VsError) || context.signal.aborted) throw error;
      const onTarget = (message: string) =>
        new VsError(error.code, message, { details: { host: route.target }, cause: error });
      if (error.details?.['side'] === 'target') throw onTarget(error.message);
      if (!error.retryable && error.code !== 'failed') throw error;
      const both = { name: route.name, saga: context.id };
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
  /** When the pass before began: what changed since and hides it is sent whatever its times say (rsync). */
  since?: number | undefined;
  suspects?: boolean;
  /** What `arm` has opened for it; a second try opens its own. */
  armed?: Armed | undefined;
}
/** An endpoint to which the source is connected already. It has a secret in it: in memory only. */
type Armed = Data<'transfer.open'>;

function open(agents: Agents, route: Route, context: StepContext, tag: string): Promise<Armed> {
  const { name, source, copy, channel, sourceAddress: from } = route;
  const args = { name, saga: context.id, copy, channel, fromHost: source, from, ttl: TTL };
  return agents.ask(route.target, 'transfer.open', args, context, { tag });
}

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
    const opened = await open(agents, route, context, 'arm');
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

async function once(agents: Agents, route: Route, context: StepContext, options: Options): Promise<Pass> {
  const { name, source, copy, channel, target } = route;
  const { tag, since } = options;
  if (copy === 'rsync' && since !== undefined) {
    const asked = { name: route.of ?? name, saga: context.id, since };
    const { files } = await agents.ask(source, 'transfer.suspects', asked, context, { tag, timeoutMs: TTL });
    if (files > 0)
      await once(agents, route, context, { final: options.final, tag: `${tag}-s`, suspects: true });
  }
  const saga = context.id;
  const opened = options.armed ?? (await open(agents, route, context, tag));
  const parent = opened.received.at(-1);
  const label = nextLabel(copy, parent);
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
    ...(options.suspects ? { suspects: true } : {}),
    // a snapshot of a try that did not arrive is older than what we want to send now
    ...(label ? { label, renew: true } : {}),
    ...(parent ? { parent } : {}),
    ...(route.bwlimit ? { bwlimit: route.bwlimit } : {}),
    ...(route.compress ? { compress: true } : {}),
    ...(options.total ? { total: options.total } : {}),
  };
  const sent = await agents.ask(source, 'transfer.send', args, context, {
    tag,
    timeoutMs: TTL,
    onProgress: (progress) => context.progress(progress),
  });
  return { ...sent, ...(label ? { label } : {}) };
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
  context.say(size(seed.bytes));
  let { bytes, label, began } = seed;
  let before = Infinity;
  for (let count = 1; count <= MOST[route.copy]; count++) {
    context.next(`delta ${count}`);
    const delta = await pass(agents, route, context, { final: false, tag: `delta${count}`, since: began });
    await flush(`flush${count}`); // the start on the target must not wait for the disk
    context.say(size(delta.bytes));
    bytes += delta.bytes;
    ({ label, began } = delta);
    if (delta.ms < QUICK || delta.ms > before * 0.7) break;
    before = delta.ms;
  }
  return { bytes, began, ...(label ? { label } : {}) };
}
