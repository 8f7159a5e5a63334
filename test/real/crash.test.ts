import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Cell, runCell } from '../../deploy/crash/cell.ts';
import { repeatOf } from '../../deploy/crash/table.ts';
import { type Storage, type World, closeWorld, openWorld } from '../../deploy/crash/world.ts';

/** VS_TEST_FULL=1: a larger sample. */
const full = process.env['VS_TEST_FULL'] === '1';
if (!full) console.log('half of the sample of the crash matrix only with VS_TEST_FULL=1: three minutes more');

/**
 * A sample of the crash matrix, which `npm run test:crash` runs whole (docs/crash-matrix.md): a row, the faults of each day,
 * and those of the larger sample. Each day every kind of fault strikes once, on both sides of the point of no return.
 */
const samples: Record<Storage, [saga: string, row: string, faults: string[], more: string[]][]> = {
  btrfs: [
    ['move', 'begin', ['master-power'], ['orchestrator']],
    ['move', 'started seed', ['orchestrator', 'target-agent', 'cut-hosts'], ['source-agent', 'broker']],
    ['move', 'started final', ['source-agent'], ['orchestrator', 'target-agent', 'source-power']],
    ['move', 'started adopt', ['cut-target'], ['target-power']],
    ['move', 'pnr', ['orchestrator', 'source-power'], ['source-agent', 'target-agent', 'master-power']],
    ['move', 'started start', ['target-power'], ['orchestrator', 'source-agent', 'target-agent']],
    ['move', 'undo: undoing stop', ['source-power'], ['orchestrator']],
    ['create', 'started own', ['orchestrator'], ['target-power']],
    ['remove', 'pnr', ['target-power'], ['orchestrator']],
    ['recover', 'started own', [], ['dead-returns', 'target-power']],
    ['evacuate', 'web1: end', [], ['orchestrator']],
  ],
  dir: [
    ['move', 'started final', ['broker', 'target-agent'], ['orchestrator', 'source-agent', 'master-power']],
    ['move', 'succeeded adopt', ['source-power'], []],
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

  const cells = samples[storage].flatMap(([saga, row, faults, more]) =>
    [...faults, ...(full ? more : [])].map((fault) => ({ saga, row, fault })),
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
