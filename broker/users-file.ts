import { whileAlone } from '../shared/file-lock.ts';
import { readJson, writeJson } from '../shared/store.ts';
import { VsError } from '../shared/errors.ts';
import { type Rights, type User, hashPassword, rightsOf, usersFile } from './users.ts';

/** Changes to the users file of the broker (mode 0600); the broker reads it again by itself. */
export function usersIn(file: string) {
  const read = async () => (await readJson(file, usersFile))?.users ?? {};
  const write = (users: Record<string, User>) => writeJson(file, usersFile, { users });
  async function known(name: string) {
    const users = await read();
    const one = Object.hasOwn(users, name) ? users[name] : undefined;
    if (!one)
      throw new VsError(
        'not-found',
        `there is no user ${name} in ${file}; it has ${Object.keys(users).sort().join(', ') || 'none'}`,
      );
    return { users, one };
  }
  return {
    async list(): Promise<({ name: string } & Rights)[]> {
      return Object.entries(await read())
        .map(([name, one]) => ({ name, ...rightsOf(one) }))
        .sort((a, b) => a.name.localeCompare(b.name));
    },
    async add(name: string, rights: Rights, password: string): Promise<void> {
      const secret = await hashPassword(password);
      await whileAlone(file, async () => {
        const users = await read();
        if (Object.hasOwn(users, name))
          throw new VsError('conflict', `there is a user ${name} already (${users[name]?.role})`);
        await write({ ...users, [name]: { ...rights, ...secret } });
      });
    },
    /** A user that its certificate alone makes known: added, or from now on without a password. Another role is a conflict. */
    certify: (name: string, rights: Rights): Promise<void> =>
      whileAlone(file, async () => {
        const users = await read();
        const before = Object.hasOwn(users, name) ? users[name] : undefined;
        if (before && before.role !== rights.role)
          throw new VsError('conflict', `there is a user ${name} already, with role ${before.role}`);
        if (!before || before.hash !== undefined) await write({ ...users, [name]: rights });
      }),
    async setPassword(name: string, password: string): Promise<void> {
      const secret = await hashPassword(password);
      await whileAlone(file, async () => {
        const { users, one } = await known(name);
        await write({ ...users, [name]: { ...rightsOf(one), ...secret } });
      });
    },
    remove: (name: string): Promise<void> =>
      whileAlone(file, async () => {
        const { users } = await known(name);
        await write(Object.fromEntries(Object.entries(users).filter(([other]) => other !== name)));
      }),
  };
}
