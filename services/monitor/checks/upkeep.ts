import { X509Certificate } from 'node:crypto';
import type { MonitorConfig } from '../../../config/monitor/rule.ts';
import { valueText } from '../../../config/monitor/kinds.ts';
import type { RunningVserver } from '../../../shared/contract/vserver.ts';
import type { Reading } from './evaluate.ts';
import { changedAsGuest, pathsAsGuest, readAsGuest } from './inside.ts';

const MOST_FILES = 200;
const MOST_BYTES = 65_536;
const NAMED = 5;
/** What changes whenever a package does: of dpkg, apk, rpm. */
const databases = [
  '/var/lib/dpkg/status',
  '/lib/apk/db/installed',
  '/usr/lib/apk/db/installed',
  '/var/lib/rpm/rpmdb.sqlite',
  '/usr/lib/sysimage/rpm/rpmdb.sqlite',
];
/** What is looked at here, by check. */
export const upkeepChecks = ['certificates', 'upgrades', 'security-upgrades', 'package-age'];

export interface Certificate {
  path: string;
  /** When it ends, ms. */
  ends: number;
}
/** The first certificate of a file (PEM or DER): of a chain that of the server. Undefined when it has none. */
export function certificateIn(path: string, content: Buffer): Certificate | undefined {
  try {
    return { path, ends: new X509Certificate(content).validToDate.getTime() };
  } catch {
    return undefined;
  }
}
/** A name that a guest chose, for people. */
const shown = (path: string): string => path.replaceAll(/[\p{Cc}\p{Cf}]/gu, '?').slice(0, 200);

/** The one that ends first decides, and all that end too soon are named. Seconds; null when there are none. */
export function certificateReading(found: readonly Certificate[], threshold: number, now: number): Reading {
  const left = ({ ends }: Certificate) => Math.max(0, (ends - now) / 1000);
  const sorted = found.toSorted((a, b) => a.ends - b.ends || (a.path < b.path ? -1 : 1));
  const [first] = sorted;
  if (!first) return { value: null, text: '' };
  const bad = sorted.filter((one) => left(one) <= threshold);
  const told = (bad.length > 0 ? bad : [first]).slice(0, NAMED).map((one) => {
    const for_ = valueText('seconds', left(one));
    return one.ends <= now ? `${shown(one.path)} has ended` : `${shown(one.path)} ends in ${for_}`;
  });
  const more = bad.length > NAMED ? `, and ${bad.length - NAMED} more` : '';
  return {
    value: left(first),
    text: `certificate ${told.join(', ')}${more}`,
    about: bad.map(({ path }) => path).join('\n'),
  };
}

async function certificates(root: string, patterns: readonly string[]): Promise<Certificate[]> {
  const found = new Map<string, Certificate>();
  for (const pattern of patterns)
    for (const path of await pathsAsGuest(root, pattern, MOST_FILES)) {
      if (found.size >= MOST_FILES) return [...found.values()];
      const content = await readAsGuest(root, path, MOST_BYTES);
      const one = content && certificateIn(path, content);
      if (one) found.set(path, one);
    }
  return [...found.values()];
}

/** How many upgrades wait, by the nightly look; undefined before the first one. */
function counted(count: number | undefined, what: string, threshold: number): Reading | undefined {
  if (count === undefined) return undefined;
  return { value: count, text: `${count} ${what} wait to be installed, threshold ${threshold}` };
}
/** How long nothing was installed, seconds; while nothing waits to be, that is well. */
export function ageReading(
  changed: number | undefined,
  upgrades: number | undefined,
  threshold: number,
  now: number,
): Reading {
  if (changed === undefined) return { value: null, text: '' };
  const age = upgrades === 0 ? 0 : Math.max(0, (now - changed) / 1000);
  const waits = upgrades === undefined ? '' : `, and ${upgrades} upgrades wait`;
  return {
    value: age,
    text: `no package was changed for ${valueText('seconds', age)}${waits}, threshold ${valueText('seconds', threshold)}`,
  };
}

/** What a vserver needs from people in time: its certificates and packages. `root`: its root file system. */
export async function lookAtUpkeep(
  config: MonitorConfig,
  vserver: Pick<RunningVserver, 'upgrades' | 'security_upgrades'>,
  root: string,
): Promise<Record<string, Reading>> {
  const readings: Record<string, Reading | undefined> = {};
  const now = Date.now();
  const { upgrades, security_upgrades: security } = vserver;
  for (const { check, threshold } of config.rules) {
    if (check === 'certificates')
      readings[check] = certificateReading(
        await certificates(root, config.certificates ?? []),
        threshold,
        now,
      );
    if (check === 'upgrades') readings[check] = counted(upgrades, 'upgrades', threshold);
    if (check === 'security-upgrades')
      readings[check] = counted(security, 'upgrades for security', threshold);
    if (check === 'package-age') {
      const times = await Promise.all(databases.map((file) => changedAsGuest(root, file)));
      const known = times.filter((one) => one !== undefined);
      const changed = known.length > 0 ? Math.max(...known) : undefined;
      readings[check] = ageReading(changed, upgrades, threshold, now);
    }
  }
  return Object.fromEntries(
    Object.entries(readings).filter((pair): pair is [string, Reading] => pair[1] !== undefined),
  );
}
