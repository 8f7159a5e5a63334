import { lxdFiles } from './lxd-package.ts';
import { type Script, byScript } from './move-script.ts';
import { type Container, type Host, type Peer, hosts, management, other, plain } from './move-stage.ts';
import { awaitAnswer } from './prober.ts';
import type { Storage } from './report.ts';

/** In the network of the plain container. */
export const lxd: Container = {
  name: 'lxd1',
  address: '10.60.20.6',
  tree: '/var/lib/vservers/.lxd/containers/lxd1/rootfs',
};
const mac = '02:76:73:78:00:06';

/** LXD as a peer: its programs are there then. */
export async function lxdPeer(signal: AbortSignal): Promise<{ version: string; on(storage: Storage): Peer }> {
  const { files, version } = await lxdFiles(signal);
  return { version, on: (storage) => peerOn(storage, files) };
}

/** A daemon on each host of the lab, of its own directory, and a container on the first. */
function peerOn(storage: Storage, files: string): Peer {
  const script = new URL('./lxd.sh', import.meta.url).pathname;
  return {
    shell: `LXD_FILES='${files}'\n. '${script}'`,
    async join({ on, at, prober }, set) {
      const certificates = new Map<Host, string>();
      for (const host of hosts) {
        await on[host].run(`lxd_up ${management[host]} ${storage}`);
        certificates.set(host, await on[host].run('lxd_identity'));
      }
      for (const host of hosts)
        await on[host].run(`lxd_trust <<'END'\n${certificates.get(other(host)) ?? ''}\nEND`);
      for (const host of hosts) await on[host].run(`lxd_other ${management[other(host)]}`);
      await on.host1.run('lxd_image', 900_000);
      await on.host1.run(`lxd_create ${lxd.name} ${lxd.address} ${mac} ${plain.name}`, 900_000);
      await on.host1.run(`lxd_start ${lxd.name}`);
      await awaitAnswer(prober, lxd.address);
      await on.host1.run(`tree_fill ${lxd.tree} ${set}; chown -R --reference=${lxd.tree} ${lxd.tree}/srv`);
      at[lxd.name] = 'host1';
    },
  };
}

const lxc = (...words: string[]): string => `lxd_do lxc ${words.join(' ')} >/dev/null`;
const stop = lxc('stop', lxd.name);
const start = `lxd_start ${lxd.name}`;

/** What went over the wire of a host meanwhile. */
function counted(script: (...args: Parameters<Script['run']>) => Promise<unknown>): Script['run'] {
  return async (timed, from, ...more) => {
    const before = Number(await timed('live count', from, 'lxd_sent'));
    await script(timed, from, ...more);
    return Number(await timed('live count', from, 'lxd_sent')) - before;
  };
}

/** As its manual has it for a host without CRIU. */
export const lxdMove = byScript(lxd, {
  run: counted(async (timed, from, to) => {
    await timed('stop', from, stop);
    await timed('move', from, lxc('move', lxd.name, 'other:'));
    await timed('start', to, start);
  }),
});

/** A copy while it runs, what changed since then, and the rest after the stop. */
export const lxdCopy = byScript(lxd, {
  run: counted(async (timed, from, to, churned) => {
    const copy = (...more: string[]) => lxc('copy', lxd.name, `other:${lxd.name}`, '--stateless', ...more);
    await Promise.all([timed('live 0', from, copy('--allow-inconsistent')), churned()]);
    await timed('live 1', from, copy('--refresh', '--allow-inconsistent'));
    await timed('stop', from, stop);
    await timed('final', from, copy('--refresh'));
    await timed('start', to, start);
  }),
  after: ({ on }, from) => on[from].run(`${lxc('delete', lxd.name)}; sync -f /var/lib/vservers`),
});
