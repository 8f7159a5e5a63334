import type { z } from 'zod';
import type { ResticRepository } from '../../config/repositories.ts';
import { VsError } from '../../shared/errors.ts';
import { RunError, dying, run, start } from '../../shared/run.ts';
import { environmentOf } from './restic-secrets.ts';

export interface ResticOptions {
  /** Ms; two minutes unless given. */
  timeoutMs?: number;
  cwd?: string;
  okCodes?: number[];
  signal?: AbortSignal;
  /** What it prints is not kept. */
  discard?: boolean;
  /** It works for long: what else the machine does goes first (nice(1), ionice(1)). */
  gently?: boolean;
}
const QUICK_MS = 120_000;
const gently = ['nice', '-n', '10', 'ionice', '-c', '3'];

/** How ssh is called for sftp: it never asks anybody, and gives up. */
export function sftpOptions({ location, ssh }: Pick<ResticRepository, 'location' | 'ssh'>): string[] {
  const [, user, host, port] =
    /^sftp:\/\/(?:([^@/]+)@)?(\[[^\]]+\]|[^:/]+)(?::(\d+))?\//.exec(location) ??
    /^sftp:(?:([^@/]+)@)?(\[[^\]]+\]|[^:/]+):/.exec(location) ??
    [];
  if (host === undefined) return [];
  const words = [
    'ssh',
    ...(ssh === undefined ? [] : ['-F', ssh]),
    '-o BatchMode=yes -o ConnectTimeout=15 -o ServerAliveInterval=15 -o ServerAliveCountMax=4',
    ...(user === undefined ? [] : ['-l', user]),
    ...(port === undefined ? [] : ['-p', port]),
    host.replaceAll(/^\[|\]$/g, ''),
    '-s sftp',
  ];
  return ['-o', `sftp.command=${words.join(' ')}`];
}

const patterns = {
  missing: /Is there a repository at the following location|repository does not exist/,
  locked: /already locked|unable to create lock/,
  key: /wrong password or no key found/,
};
/** Is it that there is no repository at the location? Not, when it could not be reached. */
export const isMissing = (error: unknown): boolean =>
  error instanceof VsError && error.details?.['restic'] === 'missing';

/** What restic said, as a sentence about the repository. */
export function faultOf(repository: ResticRepository, error: RunError, secrets: string[]): VsError {
  const { name, location } = repository;
  const hide = (text: string): string =>
    secrets.reduce((left, secret) => (secret === '' ? left : left.replaceAll(secret, '***')), text);
  const said = hide(error.stderr).trim();
  if (error.exitCode === 127 || /failed to execute|No such file or directory.*restic$/.test(said))
    return new VsError('failed', 'restic is not installed on the master: apt-get install restic');
  if (patterns.key.test(said))
    return new VsError(
      'refused',
      `the key of repository ${name} is not the one of ${location}; name the right one: key=/path in repositories.conf`,
    );
  const gone = /no such file or directory|does not exist|NoSuchBucket|\b404\b/.test(said);
  if (patterns.missing.test(said) && gone)
    return new VsError('refused', `there is no restic repository at ${location} (repository ${name})`, {
      details: { restic: 'missing' },
    });
  if (patterns.locked.test(said)) {
    const who = /locked (?:exclusively )?by (.{1,120})/.exec(said)?.[1] ?? 'somebody else';
    return new VsError(
      'conflict',
      `repository ${name} is locked by ${who}; wait for it, or see: restic list locks`,
      { retryable: true },
    );
  }
  const lines = said.split('\n').filter((line) => !/^Load\(|^Is there a|retrying after/.test(line));
  const reason = lines.filter(Boolean).slice(-3).join('; ').slice(0, 500);
  return new VsError('failed', `repository ${name} (${location}): ${reason || hide(error.message)}`, {
    cause: hide(error.message),
  });
}

/**
 * Runs restic for a repository. Where a lock is in its way, those whose owner is dead are taken away (`restic unlock` removes no
 * other), once. Throws VsError with what is wrong with the repository.
 */
export async function restic(repository: ResticRepository, args: string[], options: ResticOptions = {}) {
  const { env, secrets } = await environmentOf(repository);
  const environment = { ...env, RESTIC_PROGRESS_FPS: '0.02', GOMAXPROCS: '2' };
  const timeoutMs = options.timeoutMs ?? QUICK_MS;
  const argvOf = (words: string[]) => [
    ...dying,
    ...(options.gently ? gently : []),
    'restic',
    ...sftpOptions(repository),
    ...words,
  ];
  const call = (words: string[]) =>
    options.discard
      ? discarding(argvOf(words), environment, timeoutMs)
      : run(argvOf(words), {
          timeoutMs,
          env: environment,
          ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
          ...(options.okCodes ? { okCodes: options.okCodes } : {}),
          ...(options.signal ? { signal: options.signal } : {}),
        });
  try {
    return await call(args).catch(async (error: unknown) => {
      if (!(error instanceof RunError) || !patterns.locked.test(error.stderr)) throw error;
      await call(['unlock']);
      return call(args);
    });
  } catch (error) {
    if (error instanceof RunError) throw faultOf(repository, error, secrets);
    throw error;
  }
}

/** As run, without its output, however long that is. */
async function discarding(argv: string[], env: Record<string, string>, timeoutMs: number) {
  const child = start(argv, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env,
    signal: AbortSignal.timeout(timeoutMs),
  });
  let stderr = '';
  child.stderr?.on('data', (chunk: Buffer) => (stderr = (stderr + chunk.toString()).slice(-8000)));
  const code = await new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => resolve(status ?? 1));
  });
  if (code !== 0) throw new RunError(argv, code, stderr, `restic ended with exit code ${code}`);
  return { code, stdout: '', stderr };
}

/** The JSON that restic printed: its last line, or all of it. Throws VsError that names the command. */
export function parseOutput<T extends z.ZodType>(text: string, schema: T, what: string): z.infer<T> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new VsError('failed', `restic ${what} did not answer with JSON; which version is it?`, {
      cause: error,
    });
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success)
    throw new VsError(
      'failed',
      `restic ${what} answered in an unknown form: ${parsed.error.issues[0]?.message ?? ''}`,
    );
  return parsed.data;
}
