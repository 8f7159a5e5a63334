import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { usersIn } from '../../broker/users-file.ts';
import type { Settings } from '../../config/settings.ts';
import { VsError } from '../../shared/errors.ts';
import { MAX_REQUEST, makeRequest, newKey } from '../../shared/openssl.ts';
import { writeFileDurable } from '../../shared/store.ts';
import { openAuthority } from './ca.ts';

export interface Wanted {
  name: string;
  /** Where NAME.pem, ca.pem, and without a request NAME.key come. */
  directory: string;
  /** File with a certificate request: the key stays with its owner. */
  request?: string | undefined;
  days: number;
}

/**
 * A certificate of the pool for a user that is a person or a program, for clients only. A key that lies in the directory
 * already is used again, so the same line renews. Answers the files that it wrote.
 */
export async function certifyPerson(
  settings: Settings,
  { name, directory, request, days }: Wanted,
): Promise<string[]> {
  const user = (await usersIn(settings.BROKER_USERS).list()).find((one) => one.name === name);
  if (!user)
    throw new VsError(
      'not-found',
      `There is no user ${name}. Add it first: vs user add ${name} --role viewer --certificate`,
    );
  if (user.role === 'agent' || user.role === 'master')
    throw new VsError(
      'refused',
      user.role === 'master'
        ? 'The master has its certificate from "vs master init".'
        : `${name} is a host, which makes its key itself: vs host token ${name}`,
    );
  const authority = await openAuthority(settings.STATE_DIR);
  const at = (file: string) => join(directory, file);
  const wrote: string[] = [];
  const write = async (file: string, text: string, mode: number) => {
    await writeFileDurable(at(file), text, mode);
    wrote.push(at(file));
  };
  if (!request && !existsSync(at(`${name}.key`))) await write(`${name}.key`, newKey(), 0o600);
  const asked = request ? await readRequest(request) : await makeRequest(at(`${name}.key`), name);
  const certificate = await authority.issue({ request: asked, name, names: [], clientOnly: true, days });
  await write(`${name}.pem`, certificate, 0o644);
  await write('ca.pem', authority.pem, 0o644);
  return wrote;
}

async function readRequest(file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).slice(0, MAX_REQUEST + 1);
  } catch (error) {
    throw new VsError('usage', `The request ${file} cannot be read: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** From now on no certificate of this user counts; of a pool without an authority there is none. */
export async function revokePerson(settings: Settings, name: string): Promise<void> {
  const authority = await openAuthority(settings.STATE_DIR).catch(() => undefined);
  await authority?.revoke(name, `the user ${name} was removed`);
}
