import type { Args } from '../../../shared/contract/commands.ts';
import { name as nameOf } from '../../../shared/contract/names.ts';
import { keepsSnapshots } from '../../../shared/contract/snapshot.ts';
import { VsError } from '../../../shared/errors.ts';
import type { CloneWay, CreatePlan } from './create-plan.ts';
import { chooseTransport } from '../transport.ts';
import type { Deciding } from './planned.ts';
import { ready, wire } from './wire.ts';

/** The vserver that a new one is to be a copy of: where it is, how large, and whether a snapshot holds all of it. */
export async function findOriginal({ context, pool }: Deciding, of: string) {
  const vserver = pool.locate(of);
  const { storage, address } = pool.requireHost(vserver.host);
  const { bytes, files, nested } = await context.bus.request(
    vserver.host,
    'snapshot.usage',
    { name: of },
    { timeoutMs: 600_000 },
  );
  // a snapshot leaves out the subvolumes that a guest made inside
  const snapshot = storage.capabilities.snapshot && !nested;
  return { vserver, files, nested, clone: { of, host: vserver.host, address, bytes, snapshot } };
}
export type Original = Awaited<ReturnType<typeof findOriginal>>;

/** The vserver that `clone:NAME` copies; undefined for other sources of a create. */
export async function originalOf(
  deciding: Deciding,
  source: NonNullable<Args<'orchestrator.create'>['source']>,
): Promise<Original | undefined> {
  const of = /^clone:(.*)$/.exec(source)?.[1];
  if (of === undefined) return undefined;
  if (!nameOf.safeParse(of).success)
    throw new VsError('usage', `"${of}" in ${source} is no name of a vserver; expected clone:NAME`);
  return findOriginal(deciding, of);
}

/** A kept snapshot of the original, from which a copy can be made. What is in it now does not matter then. Throws VsError. */
export async function requireKept(deciding: Deciding, { clone, vserver }: Original, snapshot: string) {
  const one = await keptOf(deciding, vserver, snapshot);
  clone.snapshot = true;
  return one;
}

/** A kept snapshot of a vserver. Throws VsError 'not-found'. */
export async function keptOf(
  { context }: Deciding,
  { name, host }: { name: string; host: string },
  snapshot: string,
) {
  const { snapshots } = await context.bus.request(host, 'snapshot.kept', { name });
  const one = snapshots.find((each) => each.snapshot === snapshot);
  if (!one)
    throw new VsError(
      'not-found',
      `${name} has no snapshot ${snapshot} on ${host}; see: vs snapshot list ${name}`,
    );
  return one;
}

/** How the original comes to its host; both ends are asked whether they can. */
export async function cloneTo(
  deciding: Deciding,
  original: Original,
  to: string,
): Promise<NonNullable<CreatePlan['clone']> & { way: CloneWay }> {
  const { clone, nested } = original;
  const [from, here] = [deciding.pool.requireHost(clone.host), deciding.pool.requireHost(to)];
  if (clone.host === to) {
    // nothing leaves the host: its own address is the way to itself
    return {
      ...clone,
      way: clone.snapshot && keepsSnapshots(here.storage) ? 'fork' : 'rsync',
      channel: 'plain',
    };
  }
  const { wish, ...wired } = await wire(deciding, clone.host, to);
  const { copy, channel } = chooseTransport(undefined, wish, from, here, nested);
  await ready(deciding, { copy, channel }, clone.host, to);
  return { ...clone, way: copy, channel, ...wired };
}
