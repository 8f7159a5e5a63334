import { afterAll, beforeAll } from 'vitest';
import { begin, isUp, say, vms } from './kit.ts';
import { bootRows } from './rows/boot.ts';
import { kernelRows } from './rows/kernel.ts';
import { limitRows } from './rows/limits.ts';
import { lvmRows } from './rows/lvm.ts';
import { moveRows } from './rows/move.ts';
import { networkRows } from './rows/networks.ts';
import { firstRows, wireRows } from './rows/wire.ts';

/** Three VMs with Debian's own kernel: a master that is the router too, and two hosts; a tagged trunk between them. */
beforeAll(async () => {
  await begin();
});
afterAll(async () => {
  const lab = isUp() ? vms() : undefined;
  if (!lab) return;
  if (process.env['VS_VM_KEEP'] !== '1' && !process.env['VS_VM_ATTACH']) await lab.down();
  else say(`kept: VS_VM_ATTACH=${lab.directory} runs the proofs on it again`);
});

kernelRows();
firstRows();
wireRows();
networkRows();
moveRows();
limitRows();
bootRows();
// 25 minutes under emulation, so not in CI: docs/storage.md
if (process.env['VS_VM_LVM'] === '1') lvmRows();
