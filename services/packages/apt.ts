import type { PackageInfo } from '../../shared/contract/packages.ts';
import { type Manager, downloads, lines } from './manager.ts';

/** Nothing asks; a configuration file that somebody changed stays as it is (dpkg(1), --force-confold). */
const quiet = [
  'env',
  'DEBIAN_FRONTEND=noninteractive',
  'NEEDRESTART_MODE=l', // lists what should be restarted, and asks nothing
  'LC_ALL=C.UTF-8',
  'apt-get',
  '-q',
  '-y',
  '-o',
  'Dpkg::Use-Pty=0',
  '-o',
  'Dpkg::Options::=--force-confdef',
  '-o',
  'Dpkg::Options::=--force-confold',
  '-o',
  'Acquire::Retries=2',
];

/** `Inst libc6 [2.36-9] (2.36-9+deb12u9 Debian-Security:12/stable-security [amd64])`: apt-get -s. */
function simulated(line: string): PackageInfo[] {
  const match = /^Inst (\S+)(?: \[([^\]]+)\])? \((\S+) ([^)]*)\)/.exec(line);
  if (!match) return [];
  const [, name = '', version, candidate = '', origin = ''] = match;
  return [
    {
      package: name,
      ...(version === undefined ? {} : { version }),
      candidate,
      security: /security/i.test(origin),
    },
  ];
}

/** apt and dpkg, of Debian and Ubuntu. */
export const apt: Manager = {
  name: 'apt',
  program: '/usr/bin/apt-get',
  downloads,
  command(action, packages) {
    switch (action) {
      case 'list':
        return [
          'dpkg-query',
          '-W',
          '-f',
          '${db:Status-Status}\\t${binary:Package}\\t${Version}\\t${binary:Summary}\\n',
          ...packages,
        ];
      case 'update':
        return [...quiet, 'update'];
      case 'upgrades':
        return [
          'env',
          'LC_ALL=C.UTF-8',
          'apt-get',
          '-s',
          '-o',
          'Debug::NoLocking=1',
          '--with-new-pkgs',
          'upgrade',
        ];
      case 'upgrade':
        return packages.length > 0
          ? [...quiet, 'install', '--only-upgrade', '--', ...packages]
          : [...quiet, '--with-new-pkgs', 'upgrade'];
      case 'install':
        return [...quiet, 'install', '--', ...packages];
      case 'remove':
        return [...quiet, 'remove', '--', ...packages];
      case 'search':
        return ['env', 'LC_ALL=C.UTF-8', 'apt-cache', 'search', '--', ...packages];
      case 'show':
        return ['env', 'LC_ALL=C.UTF-8', 'apt-cache', 'show', '--no-all-versions', '--', ...packages];
      default: // clean
        return [...quiet, 'clean'];
    }
  },
  parse(action, output) {
    if (action === 'upgrades') return lines(output).flatMap(simulated);
    if (action === 'search')
      return lines(output).flatMap((line) => {
        const [, name, summary] = /^(\S+) - (.*)$/.exec(line) ?? [];
        return name === undefined ? [] : [{ package: name, summary: summary ?? '' }];
      });
    return lines(output).flatMap((line) => {
      const [status, name, version, summary] = line.split('\t');
      return status === 'installed' && name
        ? [{ package: name, version: version ?? '', summary: summary ?? '' }]
        : [];
    });
  },
  changed(output) {
    const match = /^(\d+) upgraded, (\d+) newly installed, (?:(\d+) downgraded, )?(\d+) to remove/m.exec(
      output,
    );
    return match ? match.slice(1).reduce((sum, one) => sum + Number(one ?? 0), 0) : 0;
  },
  lockedBy(output) {
    if (!/Could not get lock|Unable to lock|is another process using it/.test(output)) return undefined;
    return /held by process (\d+ \([^)]*\))/.exec(output)?.[1] ?? 'another package manager';
  },
};
