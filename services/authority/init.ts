import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { hostname, networkInterfaces } from 'node:os';
import { usersIn } from '../../broker/users-file.ts';
import type { Settings } from '../../config/settings.ts';
import { VsError } from '../../shared/errors.ts';
import {
  checkIdentity,
  forgetKey,
  infoOf,
  installIdentity,
  nextKey,
  readIdentity,
} from '../../shared/identity.ts';
import { makeRequest } from '../../shared/openssl.ts';
import { writeFileDurable } from '../../shared/store.ts';
import { altNamesOf, createAuthority, openAuthority } from './ca.ts';
import { namesOf, plain } from './names.ts';

const hasIpv6 = () => existsSync('/proc/net/if_inet6');

/** The names and addresses of this machine by which clients may reach it, the likeliest first. */
function ownNames(settings: Settings): string[] {
  const addresses = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter((one) => !one.internal && !one.address.startsWith('fe80:'))
    .map((one) => one.address);
  const local = ['localhost', '127.0.0.1', '::1'];
  return [settings.MANAGEMENT_ADDRESS, hostname().toLowerCase(), ...addresses, ...local];
}

/** The master's key and certificate, unless it has one for all these names that lasts. True: they are new. */
async function certifyMaster(settings: Settings, names: string[]): Promise<boolean> {
  const authority = await openAuthority(settings.STATE_DIR);
  const directory = settings.TLS_DIR;
  const before = readIdentity(directory);
  if (before && before.x509.subject !== 'CN=master')
    throw new VsError(
      'conflict',
      `this machine has a certificate as ${before.x509.subject.replace('CN=', '')} in ${directory}: a host of a pool cannot be a master as well`,
    );
  const had = before?.authority === authority.pem ? namesOf(before.x509) : [];
  const wanted = [...new Set([...names, ...had, ...ownNames(settings)].map(plain))];
  if (before && wanted.length === had.length && wanted[0] === had[0]) {
    checkIdentity(before, 'master');
    const { from, ends } = infoOf(before.x509);
    if (ends - Date.now() > (ends - from) / 3) return false;
  }
  const { file, key } = await nextKey(directory, 'renewing');
  const request = await makeRequest(file, 'master');
  const days = settings.CERTIFICATE_DAYS;
  const certificate = await authority.issue({ request, name: 'master', names: altNamesOf(wanted), days });
  await installIdentity(directory, { authority: authority.pem, certificate, key });
  await forgetKey(directory, 'renewing');
  return true;
}

/** An operator with a random password, in a file that `vs` of root on this machine uses; unless there is an operator. */
async function makeOperator(settings: Settings): Promise<boolean> {
  const users = usersIn(settings.BROKER_USERS);
  const all = await users.list();
  if (!all.some((one) => one.name === 'master')) await users.certify('master', { role: 'master' });
  if (all.some((one) => one.role === 'operator')) return false;
  const file = `${settings.CONFIG_DIR}/operator.password`;
  const kept = (await readFile(file, 'utf8').catch(() => '')).trim();
  const password = kept || randomBytes(24).toString('base64url');
  if (!kept) await writeFileDurable(file, `${password}\n`);
  await users.add('operator', { role: 'operator' }, password);
  return true;
}

const everywhere = (port: number) => `0.0.0.0:${port}${hasIpv6() ? `,[::]:${port}` : ''}`;

/** vs-tools.conf of a master. */
const masterConf = (settings: Settings): string => `ROLE=master
MANAGEMENT_ADDRESS=${settings.MANAGEMENT_ADDRESS}
BROKER_URL=mqtts://localhost:8883
BROKER_LISTEN=127.0.0.1:1883
BROKER_TLS_LISTEN=${everywhere(8883)}
BROKER_WS_LISTEN=${everywhere(8084)}
BROKER_SOCKET=/run/vs/broker.sock
`;

/**
 * Makes this machine the master of a pool: authority, certificate, users, vs-tools.conf. What is there already stays, so it
 * can run again, also after a crash. Answers what was done, a sentence each.
 */
export async function initMaster(settings: Settings, names: string[]): Promise<string[]> {
  const done: string[] = [];
  for (const name of names)
    if (!/^[A-Za-z0-9]([A-Za-z0-9.:-]{0,251}[A-Za-z0-9])?$/.test(name))
      throw new VsError('usage', `"${name}" is no name or address of a machine`);
  if (await createAuthority(settings.STATE_DIR))
    done.push(`made the authority of the pool in ${settings.STATE_DIR}/ca; its key ca.key stays there`);
  if (await certifyMaster(settings, names)) {
    const own = readIdentity(settings.TLS_DIR);
    done.push(`made key and certificate of the master for ${own ? namesOf(own.x509).join(', ') : ''}`);
  }
  if (await makeOperator(settings))
    done.push(
      `made the user operator; its password is in ${settings.CONFIG_DIR}/operator.password, which vs uses here as root`,
    );
  const conf = `${settings.CONFIG_DIR}/vs-tools.conf`;
  if (!existsSync(conf)) {
    await writeFileDurable(conf, masterConf(settings), 0o644);
    done.push(`wrote ${conf}`);
  } else if (settings.BROKER_TLS_LISTEN.length === 0)
    done.push(
      `left ${conf} as it is; hosts reach this master only with the line BROKER_TLS_LISTEN=${everywhere(8883)} in it`,
    );
  return done;
}
