import type { Channel, CopyWay } from '../../shared/contract/transfer.ts';
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
  /** rsync: the tree that this saga has put into the trash of the source. */
  trash?: string;
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
const QUICK = 1000;
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
}

async function once(agents: Agents, route: Route, context: StepContext, options: Options): Promise<Pass> {
  const { name, source, target, copy, channel } = route;
  const { tag, since } = options;
  if (copy === 'rsync' && since !== undefined) {
    const asked = { name: route.of ?? name, saga: context.id, since };
    const { files } = await agents.ask(source, 'transfer.suspects', asked, context, { tag, timeoutMs: TTL });
    if (files > 0)
      await once(agents, route, context, { final: options.final, tag: `${tag}-s`, suspects: true });
  }
  const saga = context.id;
  const opened = await agents.ask(
    target,
    'transfer.open',
    { name, saga, copy, channel, fromHost: source, from: route.sourceAddress, ttl: TTL },
    context,
    { tag },
  );
  const parent = opened.received.at(-1);
  const label = copy === 'btrfs-send' ? `p${parent ? Number(parent.slice(1)) + 1 : 0}` : route.label;
  if (label && copy === 'btrfs-send') {
    // a snapshot of a try that did not arrive is older than what we want to send now
    const taken = { name: route.of ?? name, saga, label };
    await agents.ask(source, 'snapshot.renew', taken, context, { tag: tag + label });
  }
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
    ...(label ? { label } : {}),
    ...(route.trash ? { trash: route.trash } : {}),
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
