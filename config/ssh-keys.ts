import { sshKeyLine } from '../shared/contract/names.ts';

const MOST = 65_536;

/** The public keys of a file such as id_ed25519.pub or authorized_keys, a line each. Throws a sentence that names the line. */
export function parseSshKeys(text: string, file: string): string[] {
  if (text.length > MOST) throw new Error(`${file} is longer than 64 kB, so it is no file of ssh keys`);
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text))
    throw new Error(`${file} is a private key, which stays with you; give the public one, ${file}.pub`);
  const keys: string[] = [];
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim();
    if (!line || line.startsWith('#')) continue;
    if (!sshKeyLine.test(line))
      throw new Error(
        `${file}:${index + 1}: expected a public ssh key such as "ssh-ed25519 AAAA... anna", found "${line.slice(0, 40)}"`,
      );
    keys.push(line);
  }
  if (keys.length === 0) throw new Error(`${file} has no public ssh key`);
  return keys;
}
