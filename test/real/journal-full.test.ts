import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { openArchive } from '../../services/orchestrator/archive.ts';
import { openJournals } from '../../services/orchestrator/journal.ts';
import { runnerWorld } from '../unit/runner-kit.ts';

const disk = mkdtempSync(join(tmpdir(), 'vs-small-'));
const ballast = join(disk, 'ballast');
/** Its last line needs a new block of the disk. */
const note = 'x'.repeat(6000);

/** Fills the disk to its last byte. */
function fill(): void {
  for (let size = 65_536; size >= 1; size = Math.floor(size / 2))
    for (;;)
      try {
        writeFileSync(ballast, Buffer.alloc(size, 'x'), { flag: 'a' });
      } catch {
        break;
      }
}
beforeAll(() => void execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=512k', 'vs-small', disk]));
afterAll(() => void execFileSync('umount', [disk]));

test('the disk of the master is full: what runs goes on to its end, nothing begins, and it mends itself with space', async () => {
  const directory = join(disk, 'sagas');
  mkdirSync(directory);
  const world = runnerWorld({}, openJournals(directory), {
    archive: openArchive(':memory:', () => undefined),
  });
  const first = world.remove('web1', 'host1', { note });
  await world.asked('web1');
  fill();
  world.answer('web1');
  expect((await first.ended).result).toBe('done');
  expect(readdirSync(directory)).not.toContain('reserve');
  fill();
  expect(() => world.remove('web2', 'host1')).toThrow(/cannot be written \(ENOSPC.*nothing was changed/);
  rmSync(ballast);
  const second = world.remove('web2', 'host1', { note });
  await world.asked('web2');
  rmSync(join(directory, 'reserve'));
  fill();
  world.answer('web2');
  await vi.waitFor(() => expect(world.alerts.get('web2 journal')).toMatch(/ENOSPC.*goes on by itself/), {
    timeout: 20_000,
  });
  expect(world.runner.show(second.state.id).saga.result).toBe('running');
  rmSync(ballast);
  expect((await second.ended).result).toBe('done');
  expect(world.alerts.get('web2 journal')).toBe('');
  const life = world.restart();
  life.runner.resume();
  expect(life.runner.list({ limit: 10 }).map((one) => one.result)).toEqual(['done', 'done']);
});
