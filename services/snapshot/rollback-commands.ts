import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { vserverConfig } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';
import type { Service } from '../../shared/service.ts';
import { exists, readJson, renameDurable } from '../../shared/store.ts';
import type { Turns } from '../../shared/turns.ts';
import { requireUnmounted } from './mounts.ts';
import { type KeptParts, configOf } from './take.ts';

/** What the saga of a rollback asks; each may be asked again. */
export function rollbackHandlers(parts: KeptParts & { inTurn: Turns }) {
  const { context, paths, driver, kept, inTurn } = parts;
  const { host } = context;
  /** The tree of before waits here until the saga has ended. */
  const before = (name: string, saga: string) => join(paths.staging(name, saga), 'before');

  return {
    'snapshot.return-to': ({ name, saga, snapshot }) =>
      inTurn(name, async () => {
        const { uuid } = await configOf(parts, name);
        if (!(await kept.read(uuid, snapshot)))
          throw new VsError('not-found', `${name} has no snapshot ${snapshot} on ${host} (any more)`);
        const from = kept.tree(uuid, snapshot);
        const config = await readJson(join(from, 'vserver.json'), vserverConfig);
        if (!config) throw new VsError('failed', `the snapshot ${snapshot} of ${name} has no vserver.json`);
        const tree = paths.stagingTree(name, saga);
        await mkdir(paths.staging(name, saga), { recursive: true, mode: 0o700 });
        if (!(await exists(before(name, saga)))) {
          await (await driver()).remove(tree); // of a try that was cut off
          await (await driver()).promote(from, tree);
        }
        return { config };
      }),
    'snapshot.safety': async ({ name, saga, snapshot, note, by }) => {
      const { uuid } = await configOf(parts, name);
      const known = await kept.read(uuid, snapshot);
      if (known?.saga === saga) return {};
      await kept.prepare(uuid, snapshot);
      await kept.cut(uuid, snapshot, paths.vserver(name));
      const taken = Date.now();
      const kind = 'rollback' as const;
      await kept.seal({
        version: 1,
        snapshot,
        vserver: name,
        uuid,
        taken,
        by,
        kind,
        note,
        protected: false,
        saga,
      });
      return {};
    },
    // first the tree of now goes aside, then the other one into its place: what lies where tells how far it came
    'snapshot.exchange': ({ name, saga, back }) =>
      inTurn(name, async () => {
        const [place, tree, aside] = [paths.vserver(name), paths.stagingTree(name, saga), before(name, saga)];
        const [isPlace, isTree, isAside] = await Promise.all([place, tree, aside].map(exists));
        if (back && !isAside) return {}; // nothing was exchanged, or it was taken back already
        if (!back && isPlace && isAside && !isTree) return {};
        if (!isTree && !isAside)
          throw new VsError('conflict', `saga ${saga} has no staging tree for ${name} on ${host}`);
        await requireUnmounted(name, paths.mount(name), host);
        if (back) {
          if (isPlace) await renameDurable(place, tree);
          await renameDurable(aside, place);
        } else {
          if (!isAside) await renameDurable(place, aside);
          await renameDurable(tree, place);
        }
        return {};
      }),
  } satisfies Service['handlers'];
}
