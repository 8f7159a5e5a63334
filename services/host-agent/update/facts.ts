import { existsSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { run } from '../../../shared/run.ts';

/** The units that install: the update, and the version before that comes back by itself. */
export const units = { update: 'vs-update', back: 'vs-update-back' } as const;
const LOG_BYTES = 4096;

/** What dpkg says of vs-tools; undefined when it knows none, or is not there. */
export async function dpkgSays(): Promise<{ version: string; status: string } | undefined> {
  const argv = ['dpkg-query', '-W', '-f', '${Version} ${db:Status-Status}', 'vs-tools'];
  const asked = await run(argv, { okCodes: [0, 1] }).catch(() => undefined);
  const [version, status] = asked?.code === 0 ? asked.stdout.trim().split(' ') : [];
  return version && status ? { version, status } : undefined;
}

/** Is this an init of systemd, as sd_booted(3) has it? */
export const isSystemd = (): boolean => existsSync('/run/systemd/system');

export async function isAtWork(): Promise<boolean> {
  if (!isSystemd()) return false;
  const asked = await run(
    ['systemctl', 'is-active', `${units.update}.service`, `${units.back}.service`],
    { okCodes: [0, 1, 3, 4] }, // one that is not there is not active
  );
  return asked.stdout.split('\n').some((line) => /^(active|activating|deactivating|reloading)$/.test(line));
}

/** The processor as Debian names it; '' where there is no dpkg. */
export const architecture = (): Promise<string> =>
  run(['dpkg', '--print-architecture']).then(
    ({ stdout }) => stdout.trim(),
    () => '',
  );

/** Why vs-tools of this host cannot be updated from the master; undefined when it can. */
export async function lacking(host: string): Promise<string | undefined> {
  const byHand = `bring the new version there by hand: unpack its tarball and run install.sh, as root of ${host} (docs/install.md)`;
  if (!isSystemd())
    return `${host} has no systemd as its init (no /run/systemd/system), which has to install while the agent is restarted; ${byHand}`;
  if ((await architecture()) === '') return `${host} has no dpkg; ${byHand}`;
  const says = await dpkgSays();
  if (!says)
    return `vs-tools of ${host} does not come from the Debian package (dpkg knows no vs-tools); ${byHand}`;
  return says.status === 'installed' || says.status === 'half-configured' || says.status === 'unpacked'
    ? undefined
    : `dpkg has vs-tools ${says.version} of ${host} as ${says.status}; mend that there, then again: apt-get install --fix-broken`;
}

/** The last words of dpkg, in one line. */
export async function lastWords(log: string): Promise<string> {
  const handle = await open(log, 'r').catch(() => undefined);
  if (!handle) return '';
  try {
    const { size } = await handle.stat();
    const length = Math.min(size, LOG_BYTES);
    const { buffer } = await handle.read(Buffer.alloc(length), 0, length, size - length);
    const lines = buffer
      .toString('utf8')
      .replace(/[^\n\x20-\x7e\u00a0-\uffff]/g, '')
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '' && !/^(Reading database|\(Reading)/.test(line));
    return lines.slice(-3).join('; ').slice(0, 500);
  } finally {
    await handle.close();
  }
}
