import { createHash } from 'node:crypto';

/** A version as npm and dpkg order it: 1.2.0 or 1.2.0-rc.1. */
export const isVersion = (text: string): boolean =>
  /^\d{1,6}\.\d{1,6}\.\d{1,6}(-[a-z]+\.\d{1,6})?$/.test(text);

/** Turns what is unreleased in CHANGELOG.md into the section of a version. Throws when there is nothing, or the version is there. */
export function releaseChangelog(text: string, version: string, day: string): string {
  if (sectionOf(text, version) !== undefined)
    throw new Error(`CHANGELOG.md has a section ${version} already`);
  const section = sectionOf(text, 'Unreleased');
  if (!section) throw new Error('CHANGELOG.md has nothing under "## Unreleased"; write what changed there');
  return text.replace(/^## Unreleased$/m, `## Unreleased\n\n## ${version} (${day})`);
}

/** What CHANGELOG.md says of a version, without its heading; undefined: it has none. */
export function sectionOf(text: string, version: string): string | undefined {
  const lines = text.split('\n');
  const at = lines.findIndex((line) => line === `## ${version}` || line.startsWith(`## ${version} (`));
  if (at < 0) return undefined;
  const length = lines.slice(at + 1).findIndex((line) => line.startsWith('## '));
  return lines
    .slice(at + 1, length < 0 ? undefined : at + 1 + length)
    .join('\n')
    .trim();
}

/** The SBOM of npm (CycloneDX) without what changes from run to run: its number comes from what it says, its time (s) from the commit. */
export function evenSbom(text: string, epoch: number): string {
  const sbom = JSON.parse(text) as {
    serialNumber?: string;
    metadata?: { timestamp?: string; component?: { name?: string } };
  };
  delete sbom.serialNumber;
  sbom.metadata = { ...sbom.metadata, timestamp: new Date(epoch * 1000).toISOString() };
  if (sbom.metadata.component) sbom.metadata.component.name = 'vs-tools'; // npm names it by its directory
  const hex = createHash('sha256').update(JSON.stringify(sbom)).digest('hex');
  const uuid = [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ];
  return `${JSON.stringify({ ...sbom, serialNumber: `urn:uuid:${uuid.join('-')}` }, null, 2)}\n`;
}

interface Audit {
  error?: { summary?: string };
  vulnerabilities?: Record<string, { severity: string; via: (string | { url?: string; title?: string })[] }>;
}

/**
 * A sentence for each package in which `npm audit --json` knows a fault that nobody explained; `explained`: by the address of
 * the advisory. Throws when npm could not ask.
 */
export function unexplained(text: string, explained: Record<string, string>): string[] {
  const audit = JSON.parse(text) as Audit;
  if (!audit.vulnerabilities) throw new Error(audit.error?.summary || 'npm audit gave no answer');
  return Object.entries(audit.vulnerabilities).flatMap(([name, { severity, via }]) =>
    via.flatMap((one) =>
      typeof one === 'string' || (one.url !== undefined && Object.hasOwn(explained, one.url))
        ? []
        : [`${name}: ${severity}: ${one.title ?? 'an advisory'} (${one.url ?? 'no address'})`],
    ),
  );
}
