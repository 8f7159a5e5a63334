import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Cell, runCell } from '../../deploy/crash/cell.ts';
import { repeatOf } from '../../deploy/crash/table.ts';
import { type Storage, type World, closeWorld, openWorld } from '../../deploy/crash/world.ts';

/** A sample of the crash matrix, which `npm run test:crash` runs whole (docs/crash-matrix.md): `row: faults`. */
const samples: Record<Storage, [saga: string, row: string, faults: string[]][]> = {
  btrfs: [
    ['move', 'begin', ['orchestrator', 'master-power']],
    ['move', 'started seed', ['orchestrator', 'source-agent', 'target-agent', 'broker', 'cut-hosts']],
    ['move', 'started final', ['orchestrator', 'source-agent', 'target-agent', 'source-power']],
    ['move', 'started adopt', ['target-power', 'cut-target']],
    ['move', 'pnr', ['orchestrator', 'source-agent', 'target-agent', 'source-power', 'master-power']],
    ['move', 'started start', ['orchestrator', 'source-agent', 'target-agent', 'target-power']],
    ['move', 'undo: undoing stop', ['orchestrator', 'source-power']],
    ['create', 'started own', ['orchestrator', 'target-power']],
    ['remove', 'pnr', ['orchestrator', 'target-power']],
  ],
  dir: [
    ['move', 'started final', ['orchestrator', 'source-agent', 'target-agent', 'broker', 'master-power']],
    ['move', 'succeeded adopt', ['source-power']],
  ],
};

describe.each(['btrfs', 'dir'] as const)('a sample of the crash matrix on %s', (storage) => {
  const lab = `cm${storage}`;
  let world: World | undefined;
  const open = async (): Promise<World> => {
    await closeWorld(world, lab);
    return (world = await openWorld(lab, storage));
  };
  beforeAll(async () => void (await open()));
  afterAll(() => closeWorld(world, lab));

  const cells = samples[storage].flatMap(([saga, row, faults]) =>
    faults.map((fault) => ({ saga, row, fault })),
  );
  test.each(cells)(
    'a $saga, $row, $fault: it ends, never two, nothing is lost, nothing is left',
    async ({ saga, row, fault }) => {
      const cell: Cell = { saga, storage, row, fault };
      const before = world ?? (await open());
      world = undefined; // what a cell that throws leaves is not used again
      const result = await runCell(before, cell);
      world = before;
      if (result.outcome === 'VIOLATION') await open();
      expect(result.why, `${repeatOf(cell)}\n${JSON.stringify(result.story, null, 1)}`).toEqual([]);
      expect(['done', 'undone']).toContain(result.outcome);
    },
  );
});
