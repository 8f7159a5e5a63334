import { hostName } from '../shared/contract/names.ts';
import { VsError } from '../shared/errors.ts';
import { readOptional, withoutComment } from './lines.ts';
import { type ResticLine, parseResticLine } from './restic-line.ts';
import type { Settings } from './settings.ts';

interface Place {
  name: string;
  /** On this machine: where its backups are (tree), or what is at work for them (restic). */
  path: string;
  /** A file system must be mounted at its path: else backups would fill the disk beneath. */
  mount: boolean;
}
/** `NAME:tree:/path[:mount]`, or `NAME:tree:HOST`. */
export interface TreeRepository extends Place {
  kind: 'tree';
  /** It is on this host, in BACKUP_DIR/NAME there: nothing of it is on this machine, and its path says nothing here. */
  host?: string;
}
/** `NAME:restic:LOCATION [option ...]`. `home`: its key, cache and what is known of its backups. */
export interface ResticRepository extends Place, ResticLine {
  kind: 'restic';
  home: string;
}
/** One repository of repositories.conf. */
export type Repository = TreeRepository | ResticRepository;

/** Does it lie on a host, and not on this machine? */
export const isElsewhere = (one: Repository): one is TreeRepository & { host: string } =>
  one.kind === 'tree' && one.host !== undefined;

const EXPECTED = 'expected NAME:tree:/path[:mount], NAME:tree:HOST or NAME:restic:LOCATION';
/** Of the state of the master. */
const STATE = '/var/lib/vs-tools';

/** The fault of a line, with its column; or the repository. */
function parseOne(
  line: string,
  before: Repository[],
  state: string,
): Repository | { column: number; message: string } {
  const fields = line.split(':');
  const column = (index: number) => fields.slice(0, index).join(':').length + (index > 0 ? 2 : 1);
  const [name = '', kind, path = '', options = '', ...rest] = fields.map((field) => field.trim());
  const fault = (index: number, message: string) => ({ column: column(index), message });
  if (!/^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/.test(name))
    return fault(
      0,
      `"${name.slice(0, 40)}" is no name of a repository (lower-case letters, digits, dashes); ${EXPECTED}`,
    );
  if (before.some((one) => one.name === name)) return fault(0, `repository ${name} stands here already`);
  if (kind === 'restic') {
    const from = fields.slice(0, 2).join(':').length + 1;
    const more = parseResticLine(line.slice(from));
    if ('at' in more) return { column: from + more.at + 1, message: more.message };
    const home = `${state}/restic/${name}`;
    return {
      name,
      kind,
      path: more.stage === undefined ? home : `${more.stage}/${name}`,
      home,
      mount: false,
      ...more,
    };
  }
  if (kind !== 'tree')
    return fault(
      1,
      `"${(kind ?? '').slice(0, 40)}" is no kind of repository; known are tree and restic; ${EXPECTED}`,
    );
  if (hostName.safeParse(path).success) {
    if (fields.length > 3)
      return fault(
        3,
        'there is more than NAME:tree:HOST; where it lies is said by BACKUP_DIR and BACKUP_MOUNT of that host',
      );
    return { name, kind, path: '', mount: false, host: path };
  }
  if (!/^\/[^\0]+$/.test(path) || path.split('/').includes('..'))
    return fault(2, `"${path.slice(0, 60)}" is neither an absolute path nor a host; ${EXPECTED}`);
  const unknown = options.split(',').find((one) => one !== '' && one !== 'mount');
  if (unknown !== undefined) return fault(3, `unknown option ${unknown.slice(0, 40)}; known is mount`);
  if (rest.length > 0) return fault(4, `there is more than NAME:tree:/path[:mount]`);
  return { name, kind, path: path.replace(/\/+$/, ''), mount: options.includes('mount') };
}

/** Parses repositories.conf. Throws VsError 'usage' with every fault, as file:line:column. */
export function parseRepositories(text: string, file: string, state = STATE): Repository[] {
  const all: Repository[] = [];
  const faults: string[] = [];
  for (const [index, raw] of text.split('\n').entries()) {
    const line = withoutComment(raw).trimEnd();
    if (line.trim() === '') continue;
    const one = parseOne(line, all, state);
    if ('message' in one) faults.push(`${file}:${index + 1}:${one.column}: ${one.message}`);
    else all.push(one);
  }
  if (faults.length > 0) throw new VsError('usage', faults.join('\n'));
  return all;
}

/** The repositories of CONFIG_DIR/repositories.conf; where it has no `main`, that is a tree at BACKUP_DIR. */
export async function loadRepositories(
  settings: Pick<Settings, 'CONFIG_DIR' | 'BACKUP_DIR' | 'STATE_DIR'>,
): Promise<Repository[]> {
  const file = `${settings.CONFIG_DIR}/repositories.conf`;
  const named = parseRepositories(await readOptional(file), file, settings.STATE_DIR);
  if (named.some((one) => one.name === 'main')) return named;
  return [{ name: 'main', kind: 'tree', path: settings.BACKUP_DIR, mount: false }, ...named];
}
