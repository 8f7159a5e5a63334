import { createHmac, pbkdf2, randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { VsError } from '../shared/errors.ts';
import { fileMark } from '../shared/store.ts';

/** A topic filter as MQTT has it: + is a whole level, # is the last one. */
export const filter = z
  .string()
  .min(1)
  .max(400)
  .regex(
    /^(?!\$share\/)([^+#\s]*|\+)(\/([^+#\s]*|\+))*(\/#)?$|^#$/,
    'a topic filter such as vs/1/hosts/+/status',
  );
const filters = z.array(filter).max(50);
/** Absent: the user has no password, and is known by its certificate alone. */
const secret = {
  salt: z.string().optional(),
  hash: z.string().optional(),
  /** The same password as mosquitto checks it. */
  mosquitto: z
    .string()
    .regex(/^\$7\$\d+\$[\w+/=]+\$[\w+/=]+$/)
    .optional(),
};

export const namedRole = z.enum(['agent', 'master', 'operator', 'viewer']);
const namedUser = z.strictObject({ role: namedRole, ...secret });
const customUser = z.strictObject({ role: z.literal('custom'), read: filters, write: filters, ...secret });
const user = z.discriminatedUnion('role', [namedUser, customUser]);
export const usersFile = z.strictObject({ users: z.record(z.string(), user) });
export type User = z.infer<typeof user>;
export type Role = User['role'];
/** What a user may do: one of the roles, or filters of its own. */
export type Rights =
  | Omit<z.infer<typeof namedUser>, keyof typeof secret>
  | Omit<z.infer<typeof customUser>, keyof typeof secret>;

/** A user without its secrets. */
export const rightsOf = (one: User): Rights =>
  one.role === 'custom' ? { role: one.role, read: one.read, write: one.write } : { role: one.role };

const derive = (password: string, salt: string): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    scrypt(password, Buffer.from(salt, 'hex'), 32, { N: 16384, r: 8, p: 1 }, (error, key) =>
      error ? reject(error) : resolve(key),
    );
  });

/** mosquitto derives in its only thread at each login, so not too many: 15 ms of a core. */
const MOSQUITTO_ROUNDS = 20_000;

/** A line for mosquitto's password_file, without the name: PBKDF2 of SHA-512. */
async function forMosquitto(password: string): Promise<string> {
  const salt = randomBytes(12);
  const key = await promisify(pbkdf2)(password, salt, MOSQUITTO_ROUNDS, 64, 'sha512');
  return `$7$${MOSQUITTO_ROUNDS}$${salt.toString('base64')}$${key.toString('base64')}`;
}

/** Salt and scrypt hash of a password, and what mosquitto checks it by, for broker-users.json. */
export async function hashPassword(password: string) {
  const salt = randomBytes(16).toString('hex');
  const [hash, mosquitto] = await Promise.all([derive(password, salt), forMosquitto(password)]);
  return { salt, hash: hash.toString('hex'), mosquitto };
}

/** The identities of a users file, read again when the file changes. A damaged one changes nothing; `onFault` hears of it once. */
export function openUsers(file: string, onFault: (message: string) => void) {
  let users: Record<string, User> | undefined;
  let mark: string | undefined;
  const memory = randomBytes(32);
  /** Passwords verified before, as HMAC: scrypt costs 50 ms, and a CLI connects for each command. */
  const verified = new Map<string, string>();

  function reload(): void {
    const now = fileMark(file);
    if (now === mark) return;
    mark = now;
    const there = now !== 'none';
    try {
      if (!there && users) throw new Error('it is gone');
      users = there ? usersFile.parse(JSON.parse(readFileSync(file, 'utf8'))).users : {};
      verified.clear();
    } catch (error) {
      const why = error instanceof z.ZodError ? z.prettifyError(error) : (error as Error).message;
      onFault(
        `the users file ${file} cannot be used (${why}); ${users ? 'the users before it stay' : 'nobody is let in'}`,
      );
    }
  }
  function find(name: string): User | undefined {
    if (mark === undefined) reload();
    if (!users) throw new VsError('failed', `the users file ${file} cannot be used`);
    return Object.hasOwn(users, name) ? users[name] : undefined;
  }

  return {
    /** Looks whether the file changed. */
    reload,
    find,
    /** Is this the password of this user? Constant time in the comparison; an unknown user costs as much as a known one. */
    async verify(name: string, password: string): Promise<boolean> {
      reload();
      const known = find(name);
      const key = createHmac('sha256', memory).update(`${name}\0${password}`).digest('hex');
      const before = verified.get(name);
      if (known && before && timingSafeEqual(Buffer.from(before), Buffer.from(key))) return true;
      const expected = Buffer.from(known?.hash || '00'.repeat(32), 'hex');
      const same = timingSafeEqual(await derive(password, known?.salt || '00'), expected);
      // it may have changed meanwhile
      const right = same && known?.hash !== undefined && known.hash !== '' && find(name)?.hash === known.hash;
      if (right) verified.set(name, key);
      return right;
    },
  };
}
export type Users = ReturnType<typeof openUsers>;
