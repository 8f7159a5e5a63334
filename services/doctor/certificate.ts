import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Settings } from '../../config/settings.ts';
import type { Finding } from '../../shared/contract/doctor.ts';
import { readIdentity } from '../../shared/identity.ts';
import { about } from './finding.ts';

const DAY = 86_400_000;
/** A certificate is renewed in its last third; with so few days left that has failed. */
const SOON_DAYS = 14;

/** Decides about the end of a certificate; `lasts` is its whole life, ms. */
export function judgeEnd(ends: number, lasts: number, now: number): Finding {
  const { ok, warn, fail } = about('certificate');
  const day = new Date(ends).toISOString().slice(0, 10);
  const todo = 'on the master: vs host renew HOST';
  if (ends <= now) return fail(`it ended on ${day}, so nobody talks to this machine`, todo);
  return ends - now < Math.min(SOON_DAYS * DAY, lasts / 6)
    ? warn(`it ends on ${day} and was not renewed`, todo)
    : ok(`valid until ${day}`);
}

/** The certificate of this machine, its key, and whether the way to the broker is private. */
export async function lookAtCertificate(
  settings: Pick<Settings, 'TLS_DIR' | 'BROKER_URL'>,
  now = Date.now(),
): Promise<Finding[]> {
  const { warn, fail } = about('certificate');
  const findings: Finding[] = [];
  const own = readIdentity(settings.TLS_DIR);
  if (!own)
    findings.push(
      warn(
        `there is none in ${settings.TLS_DIR}, so copies cannot go through TLS`,
        'on the master: vs host token HOST; then here what that prints',
      ),
    );
  else {
    const [from, ends] = [own.x509.validFromDate.getTime(), own.x509.validToDate.getTime()];
    findings.push(judgeEnd(ends, ends - from, now));
    const key = join(settings.TLS_DIR, 'host.key');
    const { mode, uid } = await stat(key);
    if (uid !== 0 || (mode & 0o077) !== 0)
      findings.push(fail(`others than root can read ${key}`, `chmod 0600 ${key}, then renew it`));
  }
  const plain = settings.BROKER_URL.split(',').filter(
    (url) => url.startsWith('mqtt://') && !/^mqtt:\/\/(127\.|localhost|\[::1\])/.test(url),
  );
  if (plain.length > 0)
    findings.push(
      warn(`${plain.join(', ')} is no TLS: passwords and commands can be read on the way`, 'use mqtts://'),
    );
  return findings;
}
