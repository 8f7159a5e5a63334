import { VsError } from '../shared/errors.ts';
import { checkName, quoted } from './names.ts';

/** A place in a vserver, as `NAME:PATH`. */
export interface GuestPlace {
  name: string;
  path: string;
}

/** Reads `NAME:PATH`; undefined when it is a path of this machine: it has no colon before its first slash. Throws VsError 'usage'. */
export function guestPlace(text: string): GuestPlace | undefined {
  const match = /^([^/:]*):(.*)$/s.exec(text);
  if (!match) return undefined;
  const [, name = '', path = ''] = match;
  checkName(name);
  if (!path.startsWith('/'))
    throw new VsError('usage', `${quoted(text)}: a path inside begins with /, as in ${name}:/etc/hosts.`);
  if (path.includes('\0') || path.length > 4096 || path.split('/').includes('..'))
    throw new VsError('usage', `${quoted(text)}: a path inside has no ".." and at most 4096 characters.`);
  return { name, path };
}

/** The same, where nothing else will do. */
export function needGuestPlace(text: string, example: string): GuestPlace {
  const place = guestPlace(text);
  if (place) return place;
  throw new VsError('usage', `${quoted(text)} is no place in a vserver, which is NAME:PATH: ${example}`);
}

/** `--uid --gid --mode`, as numbers. Throws VsError 'usage'. */
export function overridesOf(options: { uid?: string; gid?: string; mode?: string }): {
  uid?: number;
  gid?: number;
  mode?: number;
} {
  const id = (flag: string, text: string | undefined) => {
    if (text === undefined) return {};
    if (/^\d{1,5}$/.test(text) && Number(text) <= 65_534) return { [flag]: Number(text) };
    throw new VsError('usage', `--${flag} is a number up to 65534, not ${quoted(text)}.`);
  };
  const { mode } = options;
  if (mode !== undefined && !/^[0-7]{3,4}$/.test(mode))
    throw new VsError('usage', `--mode is three or four octal digits such as 0644, not ${quoted(mode)}.`);
  return {
    ...id('uid', options.uid),
    ...id('gid', options.gid),
    ...(mode === undefined ? {} : { mode: parseInt(mode, 8) }),
  };
}
