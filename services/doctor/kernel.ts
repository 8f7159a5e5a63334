import { readFile } from 'node:fs/promises';
import { release } from 'node:os';
import type { Finding } from '../../shared/contract/doctor.ts';
import { exists } from '../../shared/store.ts';
import { about } from './finding.ts';

/** What a kernel tells of itself. */
export interface KernelFacts {
  release: string;
  /** /proc/sys/user/max_user_namespaces; undefined: the kernel has none. */
  userNamespaces: number | undefined;
  /** Controllers of cgroup v2 at its root (with v1: of /proc/cgroups). */
  controllers: string[];
  cgroup: 'v1' | 'v2' | 'none';
  /** Names of modules that are built in, loaded or can be; undefined: this machine tells nothing of its modules. */
  modules: Set<string> | undefined;
  pressure: boolean;
}

/** idmapped mounts of ext4 and xfs came with 5.12, of btrfs with 5.15 (mount_setattr(2)). */
const OLDEST = [5, 15] as const;
/** What networks and firewalls are made of, and what is missing without it. */
const needed: Record<string, string> = {
  veth: 'vservers have no network',
  bridge: 'vservers have no network',
  nf_tables: 'no firewall can be loaded, so no vserver starts',
  '8021q': 'networks with a VLAN tag cannot come up',
};
const wanted = ['memory', 'pids', 'cpu'];

/** Decides about a kernel. */
export function judgeKernel(facts: KernelFacts): Finding[] {
  const { ok, warn, fail } = about('kernel');
  const findings: Finding[] = [];
  const [major = 0, minor = 0] = facts.release.split('.').map(Number);
  const [oldMajor, oldMinor] = OLDEST;
  findings.push(
    major > oldMajor || (major === oldMajor && minor >= oldMinor)
      ? ok(`Linux ${facts.release}`)
      : fail(
          `Linux ${facts.release} has no idmapped mounts for every file system`,
          'install a kernel of Debian 12 or later',
        ),
  );
  if (facts.userNamespaces === undefined || facts.userNamespaces < 1)
    findings.push(
      fail('user namespaces are off, so no vserver starts', 'sysctl -w user.max_user_namespaces=15000'),
    );
  else findings.push(ok(`${facts.userNamespaces} user namespaces`));
  const missing = wanted.filter((one) => !facts.controllers.includes(one));
  if (facts.cgroup === 'none')
    findings.push(fail('no cgroups are mounted', 'mount -t cgroup2 none /sys/fs/cgroup', 'cgroups'));
  else if (missing.length > 0)
    findings.push(
      fail(
        `cgroup ${facts.cgroup} without ${missing.join(', ')}: such limits do not hold`,
        `boot with cgroup_enable=${missing.join(',')}`,
        'cgroups',
      ),
    );
  else findings.push(ok(`cgroup ${facts.cgroup} with ${wanted.join(', ')}`, 'cgroups'));
  if (!facts.modules)
    findings.push(
      ok('this machine has no list of modules (a container, or a kernel without them)', 'modules'),
    );
  else {
    for (const [module, without] of Object.entries(needed))
      if (!facts.modules.has(module))
        findings.push(
          warn(`there is no module ${module}: ${without}`, 'install the kernel of Debian', module),
        );
    if (Object.keys(needed).every((one) => facts.modules?.has(one)))
      findings.push(ok(Object.keys(needed).join(', '), 'modules'));
  }
  if (!facts.pressure)
    findings.push(
      warn('no pressure figures (PSI): they are left out of the metrics', 'boot with psi=1', 'pressure'),
    );
  return findings;
}

const text = (path: string) => readFile(path, 'utf8').catch(() => undefined);
/** `kernel/net/8021q/8021q.ko.xz: ...` and the like: the names of modules. */
export function moduleNames(...lists: (string | undefined)[]): Set<string> | undefined {
  if (lists.every((list) => list === undefined)) return undefined;
  const names = lists
    .flatMap((list) => (list ?? '').split('\n'))
    .flatMap((line) => /([^/\s]+)\.ko(?:\.[a-z]+)?(?::|$)/.exec(line)?.[1] ?? []);
  return new Set(names.map((name) => name.replaceAll('-', '_')));
}

/** Asks the kernel. */
export async function kernelFacts(): Promise<KernelFacts> {
  const at = `/lib/modules/${release()}`;
  const [namespaces, v2, v1, dependencies, builtin, loaded, pressure] = await Promise.all([
    text('/proc/sys/user/max_user_namespaces'),
    text('/sys/fs/cgroup/cgroup.controllers'),
    text('/proc/cgroups'),
    text(`${at}/modules.dep`),
    text(`${at}/modules.builtin`),
    text('/proc/modules'),
    exists('/proc/pressure'),
  ]);
  const enabled = (v1 ?? '')
    .split('\n')
    .map((line) => line.split('\t'))
    .flatMap(([name = '', , , on]) => (on === '1' ? [name] : []));
  const mounted = await exists('/sys/fs/cgroup/memory');
  const modules = moduleNames(dependencies, builtin);
  for (const line of (loaded ?? '').split('\n')) if (line) modules?.add(line.split(' ')[0] ?? '');
  return {
    release: release(),
    userNamespaces: namespaces === undefined ? undefined : Number(namespaces),
    controllers: v2?.trim().split(/\s+/) ?? enabled,
    cgroup: v2 === undefined ? (mounted ? 'v1' : 'none') : 'v2',
    modules,
    pressure,
  };
}
