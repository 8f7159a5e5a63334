import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../shared/run.ts';

export type Accelerator = 'kvm' | 'tcg';

/**
 * The processor itself (KVM) where it can run a kernel, else QEMU's emulation (TCG). That /dev/kvm is there says little, as in a VM
 * whose own host emulates it: so the image's kernel must say a word within 15 s. VS_VM_ACCEL=tcg|kvm decides without a look.
 */
export async function accelerator(boot: string, env: NodeJS.ProcessEnv = process.env): Promise<Accelerator> {
  const wish = env['VS_VM_ACCEL'];
  if (wish === 'kvm' || wish === 'tcg') return wish;
  if (!existsSync('/dev/kvm')) return 'tcg';
  const qemu = [
    'qemu-system-x86_64',
    '-M',
    'q35',
    '-accel',
    'kvm',
    '-cpu',
    'host',
    '-m',
    '512',
    '-nodefaults',
  ];
  const kernel = ['-kernel', join(boot, 'vmlinuz'), '-append', 'console=ttyS0 panic=-1', '-no-reboot'];
  try {
    const { stdout } = await run(
      ['prlimit', '--core=0', ...qemu, ...kernel, '-display', 'none', '-serial', 'stdio'],
      { timeoutMs: 15_000 },
    );
    return stdout.includes('Linux version') ? 'kvm' : 'tcg'; // it has no disk: it ends with a panic, and QEMU with it
  } catch {
    return 'tcg';
  }
}
