import { readFile, readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Settings } from '../../config/settings.ts';
import type { Finding } from '../../shared/contract/doctor.ts';
import type { VserverState } from '../../shared/contract/vserver.ts';
import { isVeth } from '../../shared/veth.ts';
import { about } from './finding.ts';

/** What lies about on a host, by the names of files, mounts and devices. */
export interface Left {
  /** NAME.SAGA of each staging. */
  staging: string[];
  /** Snapshots that sagas made. */
  snapshots: { name: string; saga: string }[];
  locks: { name: string; saga: string }[];
  /** Names under which root file systems are mounted. */
  mounts: string[];
  /** The host's ends of vservers' interfaces. */
  veths: string[];
  /** Half-written files, older than what a write takes. */
  temporaries: string[];
}
/** A finding, and how it is mended when that is safe. */
export interface Orphan {
  finding: Finding;
  mend?: { do: 'discard' | 'drop' | 'unlock' | 'unmount'; name: string; saga: string };
}

/** Ids that the orchestrator gives (KIND-, when it began in ms by the master's clock, two random bytes): what people name is theirs. */
const sagaId = /^[a-z-]+-([a-z0-9]{8})[0-9a-f]{4}$/;

/** Sagas as the master knew them at an instant (ms, by its clock): what began later is none of those that have ended. */
export interface KnownSagas {
  running: ReadonlySet<string>;
  asOf: number;
}

/** Has a saga ended, by what the master said? What began after that, or what nobody knows, has not. */
const hasEnded = (saga: string, sagas: KnownSagas | undefined): boolean => {
  const began = sagaId.exec(saga)?.[1];
  return began !== undefined && !!sagas && !sagas.running.has(saga) && parseInt(began, 36) < sagas.asOf;
};

/**
 * Decides what nobody needs any more. `sagas`: undefined when the master did not say, and then nothing of a saga is judged.
 * `veths`: the interfaces that vservers of this host have while they run.
 */
export function judgeLeft(
  left: Left,
  vservers: Pick<VserverState, 'name' | 'state'>[],
  sagas: KnownSagas | undefined,
  veths: ReadonlySet<string>,
): Orphan[] {
  const { warn } = about('orphans');
  const orphans: Orphan[] = [];
  const ended = (saga: string) => hasEnded(saga, sagas);
  for (const entry of left.staging) {
    const dot = entry.indexOf('.');
    const [name, saga] = [entry.slice(0, dot), entry.slice(dot + 1)];
    if (dot > 0 && ended(saga))
      orphans.push({
        finding: warn(`a half copy of ${name} is left of ${saga}, which has ended`, 'vs doctor --fix', entry),
        mend: { do: 'discard', name, saga },
      });
  }
  for (const { name, saga } of left.snapshots)
    if (ended(saga))
      orphans.push({
        finding: warn(`a snapshot of ${name} is left of ${saga}, which has ended`, 'vs doctor --fix', name),
        mend: { do: 'drop', name, saga },
      });
  for (const { name, saga } of left.locks)
    if (ended(saga))
      orphans.push({
        finding: warn(`${name} is held by ${saga}, which has ended`, 'vs doctor --fix', name),
        mend: { do: 'unlock', name, saga },
      });
  for (const name of left.mounts)
    if (!vservers.some((one) => one.name === name))
      orphans.push({
        finding: warn(`the files of ${name}, which is not here, are still mounted`, 'vs doctor --fix', name),
        mend: { do: 'unmount', name, saga: '' },
      });
  for (const veth of left.veths)
    if (!veths.has(veth))
      orphans.push({
        finding: warn(`interface ${veth} belongs to no vserver that runs here`, `ip link del ${veth}`, veth),
      });
  for (const file of left.temporaries)
    orphans.push({ finding: warn(`${file} is half written`, 'it goes when the agent starts', file) });
  return orphans;
}

const HOUR = 3_600_000;
const names = (path: string) => readdir(path).catch(() => [] as string[]);

/** Looks at the directories of this host, its mounts and its devices. */
export async function leftOf(
  settings: Pick<Settings, 'VSERVER_DIR' | 'STATE_DIR' | 'RUN_DIR'>,
): Promise<Left> {
  const { VSERVER_DIR, STATE_DIR, RUN_DIR } = settings;
  const snapshots: Left['snapshots'] = [];
  for (const name of await names(join(VSERVER_DIR, '.snapshots')))
    for (const entry of await names(join(VSERVER_DIR, '.snapshots', name)))
      snapshots.push({ name, saga: entry.split('.')[0] ?? '' });
  const locks: Left['locks'] = [];
  for (const file of await names(join(STATE_DIR, 'locks'))) {
    if (!file.endsWith('.json')) continue;
    const text = await readFile(join(STATE_DIR, 'locks', file), 'utf8').catch(() => '');
    const saga = /"saga":\s*"([^"]+)"/.exec(text)?.[1];
    if (saga) locks.push({ name: basename(file, '.json'), saga });
  }
  const mounted = (await readFile('/proc/self/mountinfo', 'utf8'))
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((path) => path.startsWith(`${RUN_DIR}/`))
    .map((path) => path.slice(RUN_DIR.length + 1))
    .filter((name) => /^[a-z0-9][a-z0-9-]*$/.test(name));
  const temporaries: string[] = [];
  for (const directory of ['owned', 'locks', 'adopted'].map((one) => join(STATE_DIR, one)))
    for (const file of await names(directory)) {
      const age =
        Date.now() - ((await stat(join(directory, file)).catch(() => undefined))?.mtimeMs ?? Date.now());
      if (file.endsWith('.tmp') && age > HOUR) temporaries.push(join(directory, file));
    }
  return {
    staging: await names(join(VSERVER_DIR, '.staging')),
    snapshots: [...new Map(snapshots.map((one) => [`${one.name}/${one.saga}`, one])).values()],
    locks,
    mounts: [...new Set(mounted)],
    veths: (await names('/sys/class/net')).filter(isVeth),
    temporaries,
  };
}
