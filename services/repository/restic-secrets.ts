import { randomBytes } from 'node:crypto';
import { lstat, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ResticRepository } from '../../config/repositories.ts';
import { wayOf } from '../../config/restic-line.ts';
import { VsError } from '../../shared/errors.ts';
import { exists, writeFileDurable } from '../../shared/store.ts';

/** What a server may ask for (restic's manual, "Preparing a new repository"). */
const known =
  /^(AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|DEFAULT_REGION)|RESTIC_REST_(USERNAME|PASSWORD))$/;
const MOST = 64 * 1024;

/** The file of the key: one that a person names, or one of our own. */
export const keyFile = ({ key, home }: ResticRepository): string => key ?? join(home, 'key');
/** Says which repository it is; written when it was there for the first time. */
export const markFile = ({ home }: ResticRepository): string => join(home, 'repository.json');

/** A secret lies in a file of root that nobody else can read. Throws VsError 'refused'. */
async function requirePrivate(path: string, what: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (!found) throw new VsError('refused', `${what} ${path} is not there`);
  if (!found.isFile()) throw new VsError('refused', `${what} ${path} is no plain file`);
  if (found.uid !== process.getuid?.() || (found.mode & 0o077) !== 0)
    throw new VsError(
      'refused',
      `${what} ${path} is open to others than root: chown root ${path}; chmod 600 ${path}`,
    );
  if (found.size === 0 || found.size > MOST)
    throw new VsError('refused', `${what} ${path} is empty, or far too long`);
}

/** The key of a repository, made where it has none yet and never had one. Throws VsError 'refused'. */
export async function requireKey(repository: ResticRepository): Promise<string> {
  const file = keyFile(repository);
  if (repository.key === undefined && !(await exists(file))) {
    if (await exists(markFile(repository)))
      throw new VsError(
        'refused',
        `the key ${file} of repository ${repository.name} is gone, and without it nobody can read its backups: bring back your copy of it`,
      );
    await writeFileDurable(file, `${randomBytes(32).toString('base64url')}\n`);
  }
  await requirePrivate(file, `the key of repository ${repository.name}`);
  return file;
}

/** The lines KEY=value of a file of root; named by line where one is none. Throws VsError. */
export function parseEnvironment(text: string, file: string): Record<string, string> {
  const values: Record<string, string> = {};
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const [, key = '', value = ''] = /^([A-Z_]+)=(.+)$/.exec(line) ?? [];
    if (!known.test(key))
      // the line is not shown: there may be a secret in it
      throw new VsError(
        'usage',
        `${file}:${index + 1}:1: expected KEY=value, the key one of AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_DEFAULT_REGION, RESTIC_REST_USERNAME, RESTIC_REST_PASSWORD`,
      );
    values[key] = value.replace(/^(["'])(.*)\1$/, '$2');
  }
  return values;
}

/** The location with the name and password of a rest server, which older versions of restic know from nowhere else. */
function locationWith(
  location: string,
  { RESTIC_REST_USERNAME: user, RESTIC_REST_PASSWORD: word }: Record<string, string>,
) {
  if (wayOf(location) !== 'rest' || user === undefined) return location;
  const login = [user, ...(word === undefined ? [] : [word])].map(encodeURIComponent).join(':');
  return location.replace('://', `://${login}@`);
}

/** The environment of restic for a repository, and the values in it that nobody shall see. Nothing of it comes onto a command line. */
export async function environmentOf(
  repository: ResticRepository,
): Promise<{ env: Record<string, string>; secrets: string[] }> {
  const { env: file, location, home, name } = repository;
  const key = await requireKey(repository);
  let values: Record<string, string> = {};
  if (file !== undefined) {
    await requirePrivate(file, `the file env= of repository ${name}`);
    values = parseEnvironment(await readFile(file, 'utf8'), file);
  }
  const secrets = Object.entries(values)
    .filter(([one]) => !/REGION|USERNAME|KEY_ID/.test(one))
    .flatMap(([, value]) => [value, encodeURIComponent(value)]);
  if (repository.ssh !== undefined && !(await stat(repository.ssh).catch(() => undefined)))
    throw new VsError('refused', `the file ssh= of repository ${name}, ${repository.ssh}, is not there`);
  return {
    env: {
      ...values,
      RESTIC_REPOSITORY: locationWith(location, values),
      RESTIC_PASSWORD_FILE: key,
      RESTIC_CACHE_DIR: join(home, 'cache'),
    },
    secrets,
  };
}
