/** The version of a Debian package: `~` stands before what comes before a release, as in 1.2.0-rc.1. */
export const debianVersion = (version: string): string => version.replace('-', '~');

/** The name of a package of vs-tools as `npm run package` makes it. */
export const packageName = (version: string, architecture: string): string =>
  `vs-tools_${debianVersion(version)}_${architecture}.deb`;

const parsed = (version: string) => {
  const [, core = '', before] = /^(\d+(?:\.\d+)*)(?:-(.+))?$/.exec(version) ?? [];
  return { core: core.split('.').map(Number), before: before?.split('.') };
};
function compareWords(one: string, other: string): number {
  const [a, b] = [Number(one), Number(other)];
  if (!Number.isNaN(a) && !Number.isNaN(b)) return a - b;
  if (Number.isNaN(a) !== Number.isNaN(b)) return Number.isNaN(a) ? 1 : -1;
  return one < other ? -1 : Number(one > other);
}

/** Which of two versions is newer, as semver.org (11) has it: below 0, the first one is older. */
export function compareVersions(one: string, other: string): number {
  const [a, b] = [parsed(one), parsed(other)];
  for (let at = 0; at < Math.max(a.core.length, b.core.length); at++) {
    const difference = (a.core[at] ?? 0) - (b.core[at] ?? 0);
    if (difference !== 0) return difference;
  }
  if (!a.before || !b.before) return Number(b.before !== undefined) - Number(a.before !== undefined);
  for (let at = 0; at < Math.max(a.before.length, b.before.length); at++) {
    const [left, right] = [a.before[at], b.before[at]];
    if (left === undefined || right === undefined) return left === undefined ? -1 : 1;
    const difference = compareWords(left, right);
    if (difference !== 0) return difference;
  }
  return 0;
}
