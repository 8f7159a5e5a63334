import type { VserverState } from '../../shared/contract/vserver.ts';
import type { Context } from '../../shared/service.ts';
import { namesText, snapshotsText } from '../../shared/kept.ts';
import { size } from './text.ts';

type Leaving = Pick<VserverState, 'host' | 'snapshots'>;

/** Kept snapshots that go along in a move, for people; `more`: what they add to what the target takes (bytes), where it is known. */
export const along = (snapshots: number, names: string[] = [], whose = 'its', more?: number): string =>
  snapshots === 0
    ? ''
    : `; ${snapshotsText(snapshots, whose)}${names.length > 0 ? ` (${namesText(names)})` : ''} ${snapshots === 1 ? 'goes' : 'go'} along${more === undefined ? '' : `, ${size(more)} more`}`;

/** What becomes of those that stay: they are of the source's disk, and go with the old copy. */
export const behind = ({ host, snapshots = 0 }: Leaving, names: string[] = []): string =>
  snapshots === 0
    ? ''
    : `; ${snapshotsText(snapshots)}${names.length > 0 ? ` (${namesText(names)})` : ''} ${snapshots === 1 ? 'stays' : 'stay'} on ${host} and ${snapshots === 1 ? 'goes' : 'go'} with the old copy`;

/** The same for all that leave a host; `goAlong`: those whose snapshots do. */
export function ofAll(leaving: Leaving[], goAlong: ReadonlySet<Leaving>): string {
  const count = (some: Leaving[]) => some.reduce((sum, one) => sum + (one.snapshots ?? 0), 0);
  const [first] = leaving;
  if (!first) return '';
  const stay = count(leaving.filter((one) => !goAlong.has(one)));
  return `${along(count([...goAlong]), [], 'their')}${behind({ host: first.host, snapshots: stay }).replace('; its', '; their')}`;
}

/** The names of those that stay, the newest first, protected ones before all others; none, where the host does not tell. */
export async function namesBehind(
  { bus }: Pick<Context, 'bus'>,
  { name, host }: Leaving & { name: string },
): Promise<string[]> {
  const found = await bus.request(host, 'snapshot.kept', { name }).catch(() => ({ snapshots: [] }));
  return found.snapshots
    .toSorted((a, b) => Number(b.protected) - Number(a.protected) || b.taken - a.taken)
    .map((one) => one.snapshot);
}

/**
 * What a vserver and its snapshots take together on a host that they are sent to (bytes), and never less than it alone; undefined, where
 * its host cannot tell: an agent of the version before, or a snapshot that has just gone.
 */
export async function bytesAlong(
  { bus }: Pick<Context, 'bus'>,
  { name, host }: Pick<Leaving, 'host'> & { name: string },
  alone: number,
): Promise<number | undefined> {
  const asked = { timeoutMs: 600_000 };
  const told = await bus.request(host, 'snapshot.along', { name }, asked).catch(() => undefined);
  return told && Math.max(alone, told.bytes);
}
