import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { run, say } from './kit.ts';

const cache = '/var/cache/vslab-lxd';

/** Which packages `apt-get -s install lxd` would install, less lxcfs and its library: lxcfs adds hooks to all containers of a machine. */
export function packagesOf(simulated: string): string[] {
  const all = [...simulated.matchAll(/^Inst (\S+)/gm)].map((match) => match[1] ?? '');
  return all.filter((name) => name !== 'lxcfs' && !/^libfuse3-\d+$/.test(name));
}

/** Downloads the packages and unpacks them, without installing them: no service, user, hook or sysctl comes to the machine. */
async function unpack(names: string[], signal: AbortSignal): Promise<void> {
  await mkdir(cache, { recursive: true });
  const fresh = await mkdtemp(`${cache}/new-`);
  try {
    const apt = ['apt-get', '-o', 'APT::Sandbox::User=root', '-o', 'Acquire::Retries=3', 'download'];
    await run([...apt, ...names], { signal, cwd: fresh, timeoutMs: 600_000 });
    for (const file of await readdir(fresh))
      if (file.endsWith('.deb'))
        await run(['dpkg-deb', '-x', `${fresh}/${file}`, `${fresh}/files`], { signal });
    await rm(`${cache}/files`, { recursive: true, force: true });
    await rename(`${fresh}/files`, `${cache}/files`);
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

/** The programs of LXD: where they lie (empty: installed on this machine) and their version. */
export async function lxdFiles(signal: AbortSignal): Promise<{ files: string; version: string }> {
  const files = `${cache}/files`;
  const there = () => existsSync(`${files}/usr/bin/lxd`);
  try {
    if (!there()) {
      const simulate = ['apt-get', '-s', 'install', '--no-install-recommends', 'lxd'];
      let simulated = await run(simulate, { signal }).catch(() => '');
      if (!simulated) {
        say('LXD: reading the package lists');
        await run(['apt-get', '-qq', '-o', 'DPkg::Lock::Timeout=120', 'update'], {
          signal,
          timeoutMs: 300_000,
        });
        simulated = await run(simulate, { signal });
      }
      const names = packagesOf(simulated);
      if (names.includes('lxd')) {
        say(`LXD: downloading ${names.join(', ')} to ${cache}`);
        await unpack(names, signal);
      }
    }
    const [program, where] = there() ? [`${files}/usr/bin/lxc`, files] : ['lxc', ''];
    const version = (await run([program, '--version'], { signal })).trim();
    return { files: where, version };
  } catch (error) {
    signal.throwIfAborted();
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(
      `LXD cannot be had for --peer lxd: ${why}. Debian 12 and 13 have the package lxd; is a Debian mirror reachable? All but --peer goes without it.`,
      { cause: error },
    );
  }
}
