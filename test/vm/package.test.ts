import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, describe } from 'vitest';
import { attach, up } from '../../deploy/vmlab/lab.ts';
import type { Suite } from '../../deploy/vmlab/recipe.ts';
import { makeDebs } from './debs.ts';
import { begin, isUp, say, vms } from './kit.ts';
import { dayRows } from './rows/package-day.ts';
import { firstSteps } from './rows/package-first.ts';
import { hardRows } from './rows/package-hard.ts';

/** Three bare Debians, and the package: docs/vmlab.md. VS_VM_PACKAGE=1 alone has it in the run (vitest.config.ts). */
describe('the package on bare machines', { timeout: 3_600_000 }, () => {
  beforeAll(async () => {
    const kept = process.env['VS_VM_ATTACH'];
    if (kept) {
      await begin(() => attach(kept));
      return;
    }
    const suite = (process.env['VS_VM_SUITE'] ?? 'trixie') as Suite;
    const debs = await makeDebs();
    try {
      await begin(() => up({ suite, say, bare: [debs.now, debs.before, debs.broken] }));
    } finally {
      await rm(debs.directory, { recursive: true });
    }
  });
  afterAll(async () => {
    const lab = isUp() ? vms() : undefined;
    if (!lab) return;
    if (process.env['VS_VM_KEEP'] !== '1' && !process.env['VS_VM_ATTACH']) await lab.down();
    else say(`kept: VS_VM_ATTACH=${lab.directory} runs the proofs on it again`);
  });

  firstSteps();
  dayRows();
  hardRows();
});
