import type { PackageInfo } from '../../shared/contract/packages.ts';
import { type Manager, downloads, lines } from './manager.ts';

const quiet = ['env', 'LC_ALL=C.UTF-8', 'dnf', '-y', '--color=never'];
const table = (output: string): string[][] =>
  lines(output)
    .map((line) => line.trim().split(/\s+/))
    .filter(
      ([name = '', version = '', ...rest]) => rest.length === 1 && /\.\w+$/.test(name) && /\d/.test(version),
    );

/** dnf, of Fedora and its relatives (dnf(8)). */
export const dnf: Manager = {
  name: 'dnf',
  program: '/usr/bin/dnf',
  downloads,
  command(action, packages) {
    switch (action) {
      case 'list':
        return [
          'rpm',
          '-qa',
          '--qf',
          '%{NAME}\\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\\t%{SUMMARY}\\n',
          ...packages,
        ];
      case 'update':
        return [...quiet, 'makecache'];
      case 'upgrades':
        return [...quiet, '-q', '-C', 'list', '--upgrades'];
      case 'upgrade':
        return [...quiet, 'upgrade', ...packages];
      case 'install':
        return [...quiet, 'install', ...packages];
      case 'remove':
        return [...quiet, 'remove', ...packages];
      case 'search':
        return [...quiet, '-q', 'search', ...packages];
      case 'show':
        return [...quiet, '-q', 'info', ...packages];
      default: // clean
        return [...quiet, 'clean', 'packages'];
    }
  },
  parse(action, output): PackageInfo[] {
    if (action === 'upgrades')
      return table(output).map(([name = '', candidate = '']) => ({
        package: name.replace(/\.\w+$/, ''),
        candidate,
      }));
    if (action === 'search')
      return lines(output).flatMap((line) => {
        const [, name, summary] = /^(\S+?)(?:\.\w+)? : (.*)$/.exec(line) ?? [];
        return name === undefined ? [] : [{ package: name, summary: summary ?? '' }];
      });
    return lines(output).map((line) => {
      const [name = '', version = '', summary = ''] = line.split('\t');
      return { package: name, version: version.replace(/^0:/, ''), summary };
    });
  },
  changed(output) {
    return [...output.matchAll(/^(?:Install|Upgrade|Remove)\s+(\d+) Packages?/gm)].reduce(
      (sum, one) => sum + Number(one[1]),
      0,
    );
  },
  lockedBy: (output) =>
    /Waiting for process with pid (\d+)/.exec(output)?.[1] ??
    (/lock.*(held|another)/i.test(output) ? 'another package manager' : undefined),
};
