import type { PackageInfo } from '../../shared/contract/packages.ts';
import { type Manager, downloads, lines } from './manager.ts';

/** `nginx-1.24.0-r7`: the name ends before the version, which begins with a digit. */
function named(text: string): PackageInfo {
  const [, name = text, version] = /^(.+)-(\d[^-]*-r\d+)$/.exec(text) ?? [];
  return { package: name, ...(version === undefined ? {} : { version }) };
}

/** apk, of Alpine (apk(8)). */
export const apk: Manager = {
  name: 'apk',
  program: '/sbin/apk',
  downloads,
  command(action, packages) {
    switch (action) {
      case 'list':
        return packages.length > 0 ? ['apk', 'info', '-v', '-e', ...packages] : ['apk', 'info', '-v'];
      case 'update':
        return ['apk', 'update'];
      case 'upgrades':
        return ['apk', 'version', '-v', '-l', '<'];
      case 'upgrade':
        return packages.length > 0 ? ['apk', 'add', '-u', ...packages] : ['apk', 'upgrade'];
      case 'install':
        return ['apk', 'add', ...packages];
      case 'remove':
        return ['apk', 'del', ...packages];
      case 'search':
        return ['apk', 'search', '-v', ...packages];
      case 'show':
        return ['apk', 'info', '-a', ...packages];
      default: // clean
        return ['find', '/var/cache/apk', '-type', 'f', '-delete'];
    }
  },
  parse(action, output) {
    if (action === 'upgrades')
      return lines(output).flatMap((line) => {
        const [, installed, candidate] = /^(\S+)\s+<\s+(\S+)/.exec(line) ?? [];
        return installed === undefined ? [] : [{ ...named(installed), candidate: candidate ?? '' }];
      });
    if (action === 'search')
      return lines(output).map((line) => {
        const [text = '', ...summary] = line.split(' - ');
        const { package: name, version } = named(text);
        return { package: name, ...(version ? { candidate: version } : {}), summary: summary.join(' - ') };
      });
    return lines(output)
      .filter((line) => !line.startsWith('WARNING'))
      .map((line) => named(line.split(' ')[0] ?? ''));
  },
  changed: (output) => [...output.matchAll(/^\(\d+\/\d+\) (?:Installing|Upgrading|Purging)/gm)].length,
  lockedBy: (output) => (/Unable to lock database/.test(output) ? 'another package manager' : undefined),
};
