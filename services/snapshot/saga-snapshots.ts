import { readdir, stat } from 'node:fs/promises';
import { VsError } from '../../shared/errors.ts';
import type { Service } from '../../shared/service.ts';
import type { Turns } from '../../shared/turns.ts';
import { type KeptParts, configOf } from './take.ts';

/** The snapshots that sagas make and drop, and what they make of a vserver that stays where it is. */
export function sagaSnapshots(
  parts: KeptParts & { inTurn: Turns; dropDurable: (path: string) => Promise<void> },
): Service['handlers'] {
  const { context, paths, driver, kept, inTurn, dropDurable } = parts;

  /** The tree of now, or that of a kept snapshot. Throws 'not-found'. */
  async function treeOf(name: string, snapshot: string | undefined): Promise<string> {
    const { host } = context;
    if (!(await stat(paths.vserver(name)).catch(() => undefined)))
      throw new VsError('not-found', `${host} has no vserver ${name}`);
    if (snapshot === undefined) return paths.vserver(name);
    const { uuid } = await configOf(parts, name);
    if (await kept.read(uuid, snapshot)) return kept.tree(uuid, snapshot);
    throw new VsError('not-found', `${name} has no snapshot ${snapshot} on ${host} (any more)`);
  }
  return {
    'snapshot.fork': ({ name, saga, of, kept: snapshot }) =>
      inTurn(name, async () => {
        const from = await treeOf(of, snapshot);
        const tree = paths.stagingTree(name, saga);
        await (await driver()).remove(tree); // of a try that was cut off
        await (await driver()).promote(from, tree);
        return {};
      }),
    'snapshot.create': ({ name, saga, label, kept: snapshot }) =>
      inTurn(name, async () => {
        await (await driver()).snapshot(await treeOf(name, snapshot), paths.snapshot(name, saga, label));
        return {};
      }),
    'snapshot.renew': ({ name, saga, label, kept: snapshot }) =>
      inTurn(name, async () => {
        const from = await treeOf(name, snapshot);
        const path = paths.snapshot(name, saga, label);
        await (await driver()).remove(path);
        await (await driver()).snapshot(from, path);
        return {};
      }),
    'snapshot.list': async ({ name, saga }) => {
      const entries = await readdir(paths.snapshots(name)).catch(() => []);
      const snapshots = await Promise.all(
        entries.map(async (entry) => {
          const [of = '', label = ''] = entry.split('.');
          const at = `${paths.snapshots(name)}/${entry}`;
          const lost = await (await driver()).lost?.(at);
          return { saga: of, label, ts: await (await driver()).made(at), ...(lost ? { lost } : {}) };
        }),
      );
      return {
        snapshots: snapshots.filter((one) => one.label && (saga === undefined || one.saga === saga)),
      };
    },
    'snapshot.remove': ({ name, saga, label }) =>
      inTurn(name, async () => {
        for (const entry of await readdir(paths.snapshots(name)).catch(() => [])) {
          if (label ? entry === `${saga}.${label}` : entry.startsWith(`${saga}.`))
            await dropDurable(`${paths.snapshots(name)}/${entry}`);
        }
        return {};
      }),
  };
}
