import { createHmac, randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { z } from 'zod';

export const role = z.enum(['agent', 'master', 'operator', 'viewer']);
export type Role = z.infer<typeof role>;
const user = z.strictObject({ role, salt: z.string(), hash: z.string() });
export const usersFile = z.strictObject({ users: z.record(z.string(), user) });
export type User = z.infer<typeof user>;

const derive = (password: string, salt: string): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    scrypt(password, Buffer.from(salt, 'hex'), 32, { N: 16384, r: 8, p: 1 }, (error, key) =>
      error ? reject(error) : resolve(key),
    );
  });

/** Salt and scrypt hash of a password, for broker-users.json. */
export async function hashPassword(password: string): Promise<{ salt: string; hash: string }> {
  const salt = randomBytes(16).toString('hex');
  return { salt, hash: (await derive(password, salt)).toString('hex') };
}

/** The identities of a users file, read again when the file changes. */
export function openUsers(file: string) {
  let users: Record<string, User> = {};
  let mark = '';
  const memory = randomBytes(32);
  /** Passwords verified before, as HMAC: scrypt costs 50 ms, and a CLI connects for each command. */
  const verified = new Map<string, string>();

  function reload(): void {
    const stat = statSync(file, { throwIfNoEntry: false });
    const now = stat ? `${stat.ino} ${stat.mtimeMs} ${stat.size}` : 'none';
    if (now === mark) return;
    mark = now;
    verified.clear();
    users = stat ? usersFile.parse(JSON.parse(readFileSync(file, 'utf8'))).users : {};
  }

  return {
    find(name: string): User | undefined {
      reload();
      return Object.hasOwn(users, name) ? users[name] : undefined;
    },
    /** Is this the password of this user? Constant time in the comparison; an unknown user costs as much as a known one. */
    async verify(name: string, password: string): Promise<boolean> {
      const known = this.find(name);
      const key = createHmac('sha256', memory).update(`${name}\0${password}`).digest('hex');
      const before = verified.get(name);
      if (known && before && timingSafeEqual(Buffer.from(before), Buffer.from(key))) return true;
      const expected = Buffer.from(known?.hash ?? '00'.repeat(32), 'hex');
      const right =
        timingSafeEqual(await derive(password, known?.salt ?? '00'), expected) && known !== undefined;
      if (right) verified.set(name, key);
      return right;
    },
  };
}
export type Users = ReturnType<typeof openUsers>;
