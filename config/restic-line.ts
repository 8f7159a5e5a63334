/** What a line `NAME:restic:LOCATION [option ...]` of repositories.conf says after its second colon. Paths of secrets, never the secrets. */
export interface ResticLine {
  /** As restic takes it: /path, sftp:, s3: or rest:. */
  location: string;
  /** The file of the key; absent: one that was generated. */
  key?: string;
  /** The file of what a server asks for: KEY=value lines. */
  env?: string;
  /** The ssh_config(5) for sftp. */
  ssh?: string;
  /** Where the working trees lie; absent: in the state of the master. */
  stage?: string;
  /** A file system must be mounted at the path. */
  mounted: boolean;
}
export interface LineFault {
  at: number;
  message: string;
}

export const RESTIC_EXPECTED =
  'expected NAME:restic:LOCATION [key=/path] [env=/path] [ssh=/path] [stage=/path] [mount]';
const isPath = (text: string): boolean =>
  /^\/[A-Za-z0-9._/@%+,=~-]+$/.test(text) && !text.split('/').includes('..');
const HOST = String.raw`(?:[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9a-fA-F:]+\])`;
const USER = String.raw`(?:[A-Za-z0-9_][A-Za-z0-9._-]*@)?`;
const WEB = String.raw`https?://${HOST}(?::\d{1,5})?`;
const TAIL = String.raw`[A-Za-z0-9._/~%+=-]*`;
const remote: Record<string, RegExp> = {
  sftp: new RegExp(`^sftp:(?:${USER}${HOST}:|//${USER}${HOST}(?::\\d{1,5})?/)${TAIL}$`),
  s3: new RegExp(`^s3:(?:${WEB}|${HOST}(?::\\d{1,5})?)/${TAIL}$`),
  rest: new RegExp(`^rest:${WEB}/${TAIL}$`),
};

/** What reaches a location: the file system, or the word before its first colon. */
export const wayOf = (location: string): string =>
  location.startsWith('/') ? 'local' : (location.split(':')[0] ?? '');

function locationFault(location: string): string | undefined {
  const way = wayOf(location);
  const shown = `"${location.replace(/\/\/[^/@]*@/, '//...@').slice(0, 60)}"`;
  if (way === 'local') return isPath(location) ? undefined : `${shown} is no absolute path`;
  const form = Object.hasOwn(remote, way) ? remote[way] : undefined;
  if (!form) return `${shown} is no place for restic; expected /path, sftp:, s3: or rest:`;
  if (way !== 'sftp' && location.includes('@'))
    return 'a user and password do not belong here, where others may read them: put them into a file of root, and name it with env=/path';
  return form.test(location)
    ? undefined
    : `${shown} is no location of ${way}; expected ${examples[way] ?? ''}`;
}
const examples: Record<string, string> = {
  sftp: 'such as sftp:backup@nas:/srv/vservers',
  s3: 'such as s3:https://s3.example.org/bucket/vservers',
  rest: 'such as rest:https://backup.example.org:8000/vservers/',
};

/** Parses it; `at` of a fault is the place in the text, from 0. */
export function parseResticLine(text: string): ResticLine | LineFault {
  const words = [...text.matchAll(/\S+/g)].map(({ 0: word, index }) => ({ word, at: index }));
  const [first, ...options] = words;
  if (!first) return { at: 0, message: `there is no location; ${RESTIC_EXPECTED}` };
  const wrong = locationFault(first.word);
  if (wrong !== undefined) return { at: first.at, message: wrong };
  const way = wayOf(first.word);
  const line: ResticLine = { location: first.word, mounted: false };
  const seen = new Set<string>();
  for (const { word, at } of options) {
    const [, option = word, path] = /^([a-z]+)=(.*)$/.exec(word) ?? [];
    const fault = (message: string): LineFault => ({ at, message });
    if (seen.has(option)) return fault(`the option ${option} stands here already`);
    seen.add(option);
    if (option === 'mount' && path === undefined) {
      if (way !== 'local') return fault('mount is for a path of this machine');
      line.mounted = true;
      continue;
    }
    if (option !== 'key' && option !== 'env' && option !== 'ssh' && option !== 'stage')
      return fault(`unknown option ${option.slice(0, 40)}; known are key=, env=, ssh=, stage=, mount`);
    if (path === undefined || !isPath(path))
      return fault(`"${word.slice(0, 60)}" names no absolute path; expected ${option}=/path`);
    if (option === 'env' && way !== 's3' && way !== 'rest') return fault('env= is for s3: and rest:');
    if (option === 'ssh' && way !== 'sftp') return fault('ssh= is for sftp:');
    line[option] = path;
  }
  return line;
}
