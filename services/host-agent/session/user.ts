import { VsError } from '../../../shared/errors.ts';
import { run } from '../../../shared/run.ts';
import type { Lxc } from '../lxc.ts';

/** A user of a vserver. */
export interface GuestUser {
  name: string;
  uid: number;
  gid: number;
  home: string;
}

/** Finds a user, by name or number, in an /etc/passwd, which is the guest's own and may hold anything. Undefined: not there. */
export function userIn(passwd: string, wanted: string): GuestUser | undefined {
  const [given = '', group] = wanted.split(':');
  const number = /^\d+$/.test(given) ? Number(given) : undefined;
  for (const line of passwd.split('\n')) {
    const [name = '', , uid = '', gid = '', , home = ''] = line.split(':');
    if (!/^\d{1,5}$/.test(uid) || !/^\d{1,5}$/.test(gid)) continue;
    if (number === undefined ? name !== given : Number(uid) !== number) continue;
    return {
      name: /^[\w.-]{1,32}$/.test(name) ? name : uid,
      uid: Number(uid),
      gid: Number(group ?? gid),
      home: /^\/[\x21-\x7e]{0,255}$/.test(home) ? home : '/',
    };
  }
  return number === undefined
    ? undefined
    : { name: given, uid: number, gid: Number(group ?? given), home: '/' };
}

/** Asks a vserver that runs who that is. Throws VsError 'not-found'. */
export async function guestUser(lxc: Lxc, name: string, wanted: string): Promise<GuestUser> {
  const { stdout } = await run(lxc.attach(name, ['cat', '/etc/passwd']), {
    okCodes: [0, 1, 127],
    timeoutMs: 10_000,
  });
  const user = userIn(stdout, wanted);
  if (!user) throw new VsError('not-found', `${name} has no user ${wanted} in its /etc/passwd`);
  return user;
}
