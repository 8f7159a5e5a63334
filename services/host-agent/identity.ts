import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { VserverConfig } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';
import { run } from '../../shared/run.ts';
import {
  guestNames,
  makeGuestDirectory,
  readGuestFile,
  removeGuestFiles,
  writeGuestFile,
} from './guest-files.ts';

type Who = Pick<VserverConfig, 'name' | 'domain' | 'address' | 'address6'>;

const namesOf = ({ name, domain }: Who) => (domain ? [`${name}.${domain}`, name] : [name]);
const addressesOf = ({ address, address6 }: Who) => [address, address6].filter((one) => one !== undefined);
const ownLines = (who: Who) => addressesOf(who).map((ip) => `${ip} ${namesOf(who).join(' ')}`);

/** /etc/hosts of a new vserver. */
const newHosts = (who: Who) =>
  `127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n${ownLines(who).join('\n')}\n`;

/**
 * /etc/hosts after a change of name or address: the names that it had and has stand at its own addresses only, all else
 * of the guest stays. Doing it again changes nothing.
 */
export function hostsText(now: string | undefined, who: Who, was: Who): string {
  if (now === undefined) return newHosts(who);
  const own = new Set([...namesOf(was), ...namesOf(who)]);
  const kept = now
    .split('\n')

    .flatMap((line) => {
      const [words = '', ...comment] = line.split('#');
      const [address, ...names] = words.split(/\s+/).filter(Boolean);
      if (address === undefined || !names.some((one) => own.has(one))) return [line];
      const others = names.filter((one) => !own.has(one));
      if (others.length === 0) return [];
      return [`${address} ${others.join(' ')}${comment.length > 0 ? ` #${comment.join('#')}` : ''}`];
    });
  while (kept.at(-1) === '') kept.pop();
  return `${[...kept, ...ownLines(who)].join('\n')}\n`;
}

/** Host name and hosts of a guest; of one that was another before, only what was ours. */
async function writeNames(rootfs: string, who: Who, was?: Who): Promise<void> {
  if (!was) {
    await writeGuestFile(rootfs, 'etc/hostname', `${who.name}\n`);
    await writeGuestFile(rootfs, 'etc/hosts', newHosts(who));
    return;
  }
  const full = (one: Who) => namesOf(one)[0] ?? one.name;
  for (const file of ['etc/hostname', 'etc/mailname']) {
    const now = (await readGuestFile(rootfs, file))?.trim();
    if (now === full(was) && now !== was.name) await writeGuestFile(rootfs, file, `${full(who)}\n`);
    else if (now === was.name || (now === undefined && file === 'etc/hostname'))
      await writeGuestFile(rootfs, file, `${who.name}\n`);
  }
  const hosts = await readGuestFile(rootfs, 'etc/hosts');
  await writeGuestFile(rootfs, 'etc/hosts', hostsText(hosts, who, was));
}

async function writeResolver(rootfs: string, config: VserverConfig): Promise<void> {
  const lines = [
    ...(config.domain ? [`search ${config.domain}`] : []),
    ...(config.nameserver ?? '')
      .split(/[\s,]+/)
      .filter(Boolean)
      .map((server) => `nameserver ${server}`),
  ];
  if (lines.length > 0) await writeGuestFile(rootfs, 'etc/resolv.conf', `${lines.join('\n')}\n`);
}

const keyFile = /^ssh_host_([a-z0-9]+)_key$/;
const kinds = new Set(['rsa', 'ecdsa', 'ed25519']);

/** ssh host keys of its own for a guest that has some: of the same kinds, made outside of the guest's reach (ssh-keygen(1)). */
async function renewHostKeys(rootfs: string, name: string): Promise<void> {
  const had = (await guestNames(rootfs, 'etc/ssh')).flatMap((file) => keyFile.exec(file)?.[1] ?? []);
  await removeGuestFiles(rootfs, 'etc/ssh', /^ssh_host_/);
  if (had.length === 0) return;
  const work = await mkdtemp(join(tmpdir(), 'vs-keys-'));
  try {
    for (const kind of had) {
      if (!kinds.has(kind)) continue;
      const file = join(work, `ssh_host_${kind}_key`);
      await run(['ssh-keygen', '-q', '-t', kind, '-N', '', '-C', `root@${name}`, '-f', file]);
      await writeGuestFile(rootfs, `etc/ssh/ssh_host_${kind}_key.pub`, await readFile(`${file}.pub`, 'utf8'));
      await writeGuestFile(rootfs, `etc/ssh/ssh_host_${kind}_key`, await readFile(file, 'utf8'), 0o600);
    }
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** What is random in a guest, and would be the same in two of them: seeds of the kernel, the key of credentials (systemd). */
async function dropSeeds(rootfs: string): Promise<void> {
  await removeGuestFiles(rootfs, 'var/lib/systemd', /^(random-seed|credential\.secret)$/);
  await removeGuestFiles(rootfs, 'var/lib/urandom', /^random-seed$/);
}

/** Host keys of its own; what could not be made is no reason to stop, and said. */
async function tryHostKeys(rootfs: string, name: string): Promise<string | undefined> {
  try {
    await renewHostKeys(rootfs, name);
  } catch (error) {
    return `it has no ssh host keys: ${error instanceof Error ? error.message : String(error)}; make them inside with: ssh-keygen -A`;
  }
  return undefined;
}

/** Adds public keys to root's authorized_keys (0600), whether or not an ssh server is there; those that are in it already are not doubled. */
export async function authorize(rootfs: string, keys: string[]): Promise<void> {
  if (keys.length === 0) return;
  await makeGuestDirectory(rootfs, 'root', 0o700);
  await makeGuestDirectory(rootfs, 'root/.ssh', 0o700);
  const file = 'root/.ssh/authorized_keys';
  const now = await readGuestFile(rootfs, file);
  if (now === undefined && (await guestNames(rootfs, 'root/.ssh')).includes('authorized_keys'))
    throw new VsError(
      'refused',
      `/${file} of the guest is no plain file of at most 64 kB, so no key is added`,
    );
  const had = (now ?? '').split('\n').filter(Boolean);
  const all = [...had, ...keys.filter((key) => !had.includes(key))];
  await writeGuestFile(rootfs, file, `${all.join('\n')}\n`, 0o600);
}

/** A guest from a template: host name, hosts, resolver, and a machine id that it makes at its first start. */
export async function personalise(rootfs: string, config: VserverConfig): Promise<string | undefined> {
  await writeNames(rootfs, config);
  await writeResolver(rootfs, config);
  await removeGuestFiles(rootfs, 'var/lib/dbus', /^machine-id$/);
  await writeGuestFile(rootfs, 'etc/machine-id', '');
  await dropSeeds(rootfs);
  return tryHostKeys(rootfs, config.name); // a tarball of a machine that ran has keys, which each of its vservers would share
}

/**
 * A tree that was another vserver (`was`), or the same one by another name or address. Fresh: nothing of who it was stays,
 * neither machine id nor ssh host keys. Answers what could not be changed inside, for people.
 */
export async function reidentify(
  rootfs: string,
  config: VserverConfig,
  was: VserverConfig,
  fresh: boolean,
): Promise<string | undefined> {
  const same = (['name', 'domain', 'address', 'address6'] as const).every((key) => config[key] === was[key]);
  if (fresh) {
    await removeGuestFiles(rootfs, 'var/lib/dbus', /^machine-id$/);
    await writeGuestFile(rootfs, 'etc/machine-id', '');
    await writeResolver(rootfs, config);
    await dropSeeds(rootfs);
  }
  if (fresh || !same) {
    try {
      await writeNames(rootfs, config, was);
    } catch (error) {
      // a guest may have made what it likes of its /etc; its own name is not worth a stop
      if (fresh) throw error;
      return error instanceof Error ? error.message : String(error);
    }
  }
  return fresh ? tryHostKeys(rootfs, config.name) : undefined;
}
