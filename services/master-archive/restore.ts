import { existsSync } from 'node:fs';
import { mkdir, open, readFile, readdir, rename, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { basename, dirname, join } from 'node:path';
import type { Settings } from '../../config/settings.ts';
import { refuseNewer } from '../../shared/data-version.ts';
import { VsError } from '../../shared/errors.ts';
import { version } from '../../shared/service.ts';
import { run } from '../../shared/run.ts';
import {
  readJson,
  removeFileDurable,
  renameDurable,
  syncDirectory,
  writeFileDurable,
} from '../../shared/store.ts';
import { type Manifest, compare, describeFile, manifest } from './contents.ts';

type Places = Pick<Settings, 'STATE_DIR' | 'CONFIG_DIR' | 'BROKER_SOCKET'>;
const UNPACK_MS = 30 * 60_000;

export interface Restored {
  taken: number;
  host: string;
  files: number;
  /** Where what lay here before is now. */
  aside?: string;
  /** Sagas that ran when the archive was taken; their journals are put aside, for the pool has gone on since. */
  unfinished: string[];
}

/** Does a broker listen here, that is: is this master at work? */
const isRunning = (socket: string): Promise<boolean> =>
  new Promise((resolve) => {
    if (!socket) return resolve(false);
    const probe = connect(socket);
    probe.once('connect', () => resolve((probe.destroy(), true)));
    probe.once('error', () => resolve(false));
  });

/** Unpacks into a directory; only files and directories may be in it, each below it (tar(1) leaves out `/` and refuses `..`). */
async function unpack(file: string, to: string): Promise<Manifest> {
  await rm(to, { recursive: true, force: true });
  await mkdir(to, { recursive: true, mode: 0o700 });
  const listed = await run(['tar', '-tvzf', file], { timeoutMs: UNPACK_MS }).catch((error: unknown) => {
    throw new VsError('failed', `${file} is no whole archive of a master: ${(error as Error).message}`, {
      cause: error,
    });
  });
  const odd = listed.stdout.split('\n').find((line) => line !== '' && !/^[-d]/.test(line));
  if (odd)
    throw new VsError('failed', `${file} has more than files and directories in it: ${odd.slice(0, 200)}`);
  await run(['tar', '-C', to, '--no-same-owner', '-xzf', file], { timeoutMs: UNPACK_MS });
  const found = await readJson(join(to, 'manifest.json'), manifest);
  if (!found) throw new VsError('failed', `${file} is no archive of a master: it has no manifest.json`);
  await compare(to, found);
  return found;
}

/** Everything below a directory is on the disk. */
async function flush(root: string): Promise<void> {
  for (const entry of await readdir(root, { withFileTypes: true })) {
    const path = join(root, entry.name);
    if (entry.isDirectory()) await flush(path);
    else {
      const handle = await open(path, 'r');
      try {
        await handle.sync();
      } finally {
        await handle.close();
      }
    }
  }
  await syncDirectory(root);
}

/** Ids of sagas whose journal, `ID.jsonl`, does not end with a line of kind `end`. */
async function unfinishedIn(sagas: string): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(sagas).catch(() => [])) {
    if (!entry.endsWith('.jsonl')) continue;
    const text = await readFile(join(sagas, entry), 'utf8');
    if (!text.trimEnd().split('\n').at(-1)?.includes('"kind":"end"')) found.push(basename(entry, '.jsonl'));
  }
  return found.toSorted();
}

async function refuseWhatIsThere(settings: Places, replace: boolean): Promise<void> {
  if (await isRunning(settings.BROKER_SOCKET))
    throw new VsError(
      'refused',
      `a broker listens on ${settings.BROKER_SOCKET}: stop the master's services before`,
    );
  if (existsSync(`${settings.STATE_DIR}/owned`))
    throw new VsError(
      'refused',
      `this machine is a host of a pool (${settings.STATE_DIR}/owned); a master needs a machine of its own`,
    );
  if (existsSync(`${settings.STATE_DIR}/ca`) && !replace)
    throw new VsError(
      'conflict',
      `this machine is a master already (${settings.STATE_DIR}/ca); with --replace what it has is put aside in ${settings.STATE_DIR}/before-restore-...`,
    );
}

/**
 * Puts the state of a master from an archive into its place. All of it is unpacked and compared with its manifest before
 * anything changes; then each entry comes by a rename. What was cut off goes on with the same command. The services of the
 * master must not run.
 */
export async function restoreArchive(
  settings: Places,
  file: string,
  options: { replace?: boolean; now?: number } = {},
): Promise<Restored> {
  const { STATE_DIR, CONFIG_DIR } = settings;
  const stage = join(STATE_DIR, '.restore');
  const begun = join(stage, 'placing'); // from here on it goes on, whatever is there
  const hash = (
    await describeFile(file).catch((error: unknown) => {
      throw new VsError('usage', `${file} cannot be read: ${(error as Error).message}`, { cause: error });
    })
  ).sha256;
  const goesOn = (await readFile(begun, 'utf8').catch(() => '')) === hash;
  const known = goesOn ? await readJson(join(stage, 'manifest.json'), manifest) : undefined;
  let parts: Manifest;
  if (known) parts = known;
  else {
    await refuseWhatIsThere(settings, options.replace ?? false);
    try {
      parts = await unpack(file, stage);
      if (!parts.files.some((one) => one.path === 'state/ca/ca.key'))
        throw new VsError('failed', `${file} has no key of a pool's authority (state/ca/ca.key)`);
      await refuseNewer(join(stage, 'state'), version());
    } catch (error) {
      await rm(stage, { recursive: true, force: true }); // it has keys
      throw error;
    }
    await flush(stage);
  }
  const stampFile = join(stage, 'stamp');
  const stamp = (await readFile(stampFile, 'utf8').catch(() => '')) || String(options.now ?? Date.now());
  await writeFileDurable(stampFile, stamp);
  if (!known) await writeFileDurable(begun, hash);
  const aside = join(STATE_DIR, `before-restore-${stamp}`);
  const unfinished = await setAside(stage, join(STATE_DIR, 'sagas'));
  await placeState(stage, STATE_DIR, aside);
  await placeSettings(parts, stage, CONFIG_DIR, aside);
  await removeFileDurable(begun); // all is in its place: what is left of the staging is no beginning any more
  await rm(stage, { recursive: true, force: true });
  return {
    taken: parts.taken,
    host: parts.host,
    files: parts.files.length,
    ...(existsSync(aside) ? { aside } : {}),
    unfinished,
  };
}

/** Journals without an end leave the folder of journals; also of a former try, which had them in place already. */
async function setAside(stage: string, placed: string): Promise<string[]> {
  const sagas = existsSync(join(stage, 'state', 'sagas')) ? join(stage, 'state', 'sagas') : placed;
  const to = join(sagas, 'not-resumed');
  for (const saga of await unfinishedIn(sagas)) {
    await mkdir(to, { recursive: true, mode: 0o700 });
    await renameDurable(join(sagas, `${saga}.jsonl`), join(to, `${saga}.jsonl`));
  }
  const all = await readdir(to).catch(() => []);
  return all.map((entry) => basename(entry, '.jsonl')).toSorted();
}

/** What is in the way is put aside first: also what the archive has not, for it belongs to another time. */
async function placeState(stage: string, stateDir: string, aside: string): Promise<void> {
  const fresh = join(stage, 'state');
  const entries = await readdir(fresh);
  const others = ['broker.db', 'broker.db-wal', 'broker.db-shm', 'outbox', 'data-version.json'];
  for (const entry of [...entries, ...others]) {
    if (!existsSync(join(stateDir, entry))) continue;
    await mkdir(join(aside, 'state'), { recursive: true, mode: 0o700 });
    await rename(join(stateDir, entry), join(aside, 'state', entry));
  }
  for (const entry of entries) await rename(join(fresh, entry), join(stateDir, entry));
  await syncDirectory(stateDir);
}

/** Settings may lie on another file system: each file is written anew, and what differs from it is kept aside. */
async function placeSettings(
  parts: Manifest,
  stage: string,
  configDir: string,
  aside: string,
): Promise<void> {
  for (const { path, mode } of parts.files.filter((one) => one.path.startsWith('etc/'))) {
    const inner = path.slice('etc/'.length);
    const text = await readFile(join(stage, path), 'utf8');
    const before = await readFile(join(configDir, inner), 'utf8').catch(() => undefined);
    if (before !== undefined && before !== text) {
      const kept = join(aside, path);
      await mkdir(dirname(kept), { recursive: true, mode: 0o700 });
      await writeFileDurable(kept, before);
    }
    if (before !== text) await writeFileDurable(join(configDir, inner), text, mode);
  }
}
