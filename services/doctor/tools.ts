import type { Finding } from '../../shared/contract/doctor.ts';
import { run } from '../../shared/run.ts';
import { about } from './finding.ts';

interface Tool {
  argv: string[];
  /** The oldest version with which it was tried (Debian 12). */
  least?: string;
  packaged: string;
  /** Codes with which it tells its version, 0 unless told. */
  codes?: number[];
}

/** What the services of a host call. */
export const tools: Record<string, Tool> = {
  lxc: { argv: ['lxc-start', '--version'], least: '5.0', packaged: 'lxc' },
  rsync: { argv: ['rsync', '--version'], least: '3.2', packaged: 'rsync' },
  nft: { argv: ['nft', '--version'], least: '1.0', packaged: 'nftables' },
  ip: { argv: ['ip', '-V'], least: '5.0', packaged: 'iproute2' },
  tar: { argv: ['tar', '--version'], least: '1.30', packaged: 'tar' },
  perl: { argv: ['perl', '-e', 'printf "%vd", $^V'], least: '5.30', packaged: 'perl' },
  arping: { argv: ['arping', '-V'], packaged: 'iputils-arping' },
  ping: { argv: ['ping', '-V'], packaged: 'iputils-ping' },
  openssl: { argv: ['openssl', 'version'], least: '3.0', packaged: 'openssl' },
};
export const btrfsTool: Tool = { argv: ['btrfs', '--version'], least: '5.10', packaged: 'btrfs-progs' };
/** Of the storages that need any. */
const ofStorage: Record<string, Record<string, Tool>> = {
  btrfs: { btrfs: btrfsTool },
  lvm: { lvs: { argv: ['lvs', '--version'], packaged: 'lvm2' } },
  'lvm-thin': {
    lvs: { argv: ['lvs', '--version'], packaged: 'lvm2' },
    'thin-check': { argv: ['thin_check', '--version'], packaged: 'thin-provisioning-tools' },
    'mkfs.ext4': { argv: ['mkfs.ext4', '-V'], least: '1.47', packaged: 'e2fsprogs' },
  },
};

/** Is a version at least another one? Both as numbers with dots. */
export function isAtLeast(version: string, least: string): boolean {
  const [have, want] = [version, least].map((one) => one.split('.').map(Number)) as [number[], number[]];
  for (const [place, number] of want.entries()) {
    if ((have[place] ?? 0) !== number) return (have[place] ?? 0) > number;
  }
  return true;
}

/** The first number with a dot, as tools tell their version. */
export const versionOf = (text: string): string | undefined => /(\d+(?:\.\d+)+)/.exec(text)?.[1];

async function look(name: string, { argv, least, packaged, codes }: Tool): Promise<Finding> {
  const { ok, warn, fail } = about('tools');
  try {
    const { stdout, stderr } = await run(argv, { timeoutMs: 10_000, okCodes: codes ?? [0] });
    const version = versionOf(stdout) ?? versionOf(stderr);
    if (least && version && !isAtLeast(version, least))
      return warn(
        `${name} ${version} is older than ${least}, with which vs-tools was tried`,
        `apt-get install ${packaged}`,
        name,
      );
    return ok(version ? `${name} ${version}` : name, name);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return fail(`${name} cannot be used: ${why}`, `apt-get install ${packaged}`, name);
  }
}

/** The programs that this host calls, with their versions. */
export const lookAtTools = (storage: string): Promise<Finding[]> =>
  Promise.all(Object.entries({ ...tools, ...ofStorage[storage] }).map(([name, tool]) => look(name, tool)));
