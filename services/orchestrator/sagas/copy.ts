import type { Transport } from '../../../shared/contract/transfer.ts';
import type { Agents } from '../agent.ts';
import type { StepContext } from '../executor.ts';
import { size } from '../text.ts';

export interface Route {
  name: string;
  source: string;
  target: string;
  sourceAddress: string;
  transport: Transport;
  bytes: number;
}
interface Pass {
  bytes: number;
  ms: number;
  treeBytes?: number;
  treeFiles?: number;
  label?: string;
}

const TTL = 12 * 3_600_000;
/** Enough: what is left then costs less than another pass would save. */
const SMALL = 8e6;
const MOST_PASSES = 5;

/** One pass: snapshot where the transport needs it, an endpoint, the copy. Secrets stay in memory. */
export async function pass(
  agents: Agents,
  route: Route,
  context: StepContext,
  options: { final: boolean; tag: string; total?: number },
): Promise<Pass> {
  const { name, source, target, transport } = route;
  const saga = context.id;
  const opened = await agents.ask(
    target,
    'transfer.open',
    { name, saga, transport, from: route.sourceAddress, ttl: TTL },
    context,
    { tag: `${options.tag}${Date.now().toString(36)}` },
  );
  const parent = opened.received.at(-1);
  const label = transport === 'btrfs-send' ? `p${parent ? Number(parent.slice(1)) + 1 : 0}` : undefined;
  if (label) {
    // a snapshot of a try that did not arrive is older than what we want to send now
    await agents.ask(source, 'snapshot.remove', { name, saga, label }, context, {
      tag: `${options.tag}${label}`,
    });
    await agents.ask(source, 'snapshot.create', { name, saga, label }, context, {
      tag: `${options.tag}${label}`,
    });
  }
  const args = {
    name,
    saga,
    transport,
    address: opened.address,
    port: opened.port,
    secret: opened.secret,
    final: options.final,
    ...(label ? { label } : {}),
    ...(parent ? { parent } : {}),
    ...(options.total ? { total: options.total } : {}),
  };
  const sent = await agents.ask(source, 'transfer.send', args, context, {
    tag: options.tag + opened.port,
    timeoutMs: TTL,
    onProgress: (progress) => context.progress(progress),
  });
  return { ...sent, ...(label ? { label } : {}) };
}

/** The copies while it runs: the seed, then further passes while what is left is large and still shrinks. */
export async function livePasses(
  agents: Agents,
  route: Route,
  context: StepContext,
): Promise<{ bytes: number }> {
  const seed = await pass(agents, route, context, { final: false, tag: 'seed', total: route.bytes });
  context.say(`${size(seed.bytes)}`);
  let bytes = seed.bytes;
  let before = Infinity;
  for (let count = 1; count <= MOST_PASSES; count++) {
    await agents.ask(route.target, 'transfer.flush', { name: route.name, saga: context.id }, context, {
      tag: `flush${count}`,
      timeoutMs: 600_000,
    });
    const delta = await pass(agents, route, context, { final: false, tag: `delta${count}` });
    context.row(`delta ${count}`, route.source, size(delta.bytes), delta.ms);
    bytes += delta.bytes;
    if (delta.bytes < SMALL || delta.bytes > before * 0.8) break;
    before = delta.bytes;
  }
  await agents.ask(route.target, 'transfer.flush', { name: route.name, saga: context.id }, context, {
    tag: 'flush',
    timeoutMs: 600_000,
  });
  return { bytes };
}
