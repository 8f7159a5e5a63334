import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { VsError } from '../../shared/errors.ts';
import { pathsFor } from '../../shared/paths.ts';
import { run } from '../../shared/run.ts';
import { unseal } from '../../shared/seal.ts';
import type { Context, Service } from '../../shared/service.ts';
import { receive, send } from './btrfs-send.ts';
import { type Endpoint, openEndpoint } from './endpoint.ts';
import { meter } from './progress.ts';
import { endOrphans } from './orphans.ts';
import { sendRsync, serveRsync } from './rsyncd.ts';
import { listSuspects, suspectsFile } from './suspects.ts';
import { openWork } from './work.ts';

/** The transfer service: one-time endpoints on the target, copies from the source. */
export function service(context: Context): Service {
  const { settings, host, log } = context;
  const paths = pathsFor(settings);
  const endpoints = new Map<string, Set<Endpoint>>();
  const work = openWork();

  async function received(staging: string): Promise<string[]> {
    return (await readdir(staging).catch(() => []))
      .filter((label) => /^p\d+$/.test(label))
      .sort((a, b) => Number(a.slice(1)) - Number(b.slice(1)));
  }
  async function close(saga: string): Promise<void> {
    for (const endpoint of endpoints.get(saga) ?? []) endpoint.close();
    endpoints.delete(saga);
    await work.end(saga);
    await rm(suspectsFile(settings.RUN_DIR, saga), { force: true }); // of a pass that failed
  }

  return {
    name: 'transfer',
    handlers: {
      'transfer.open': async ({ name, saga, transport, from, ttl }) => {
        const staging = paths.staging(name, saga);
        if (!(await stat(staging).catch(() => undefined)))
          throw new VsError('conflict', `${host} has no staging for ${name} of saga ${saga}`);
        await mkdir(settings.RUN_DIR, { recursive: true, mode: 0o700 });
        const secret = randomBytes(24).toString('base64url');
        const endpoint = await openEndpoint({
          address: settings.MANAGEMENT_ADDRESS,
          from,
          ttl,
          serve: (socket) =>
            work
              .run(saga, (signal) =>
                transport === 'btrfs-send'
                  ? receive(socket, staging, secret, signal)
                  : serveRsync(socket, paths.stagingTree(name, saga), secret, {
                      runDir: settings.RUN_DIR,
                      from,
                      signal,
                      onLog: (line) => log.debug({ saga }, line),
                    }),
              )
              .catch((error: unknown) => {
                log.warn({ saga, error: String(error) }, 'a transfer failed');
                throw error;
              }),
          onRefused: (other) =>
            log.warn({ saga, from: other }, 'a connection to a transfer endpoint was refused'),
          onClose: () => endpoints.get(saga)?.delete(endpoint),
        });
        endpoints.set(saga, (endpoints.get(saga) ?? new Set()).add(endpoint));
        return {
          address: settings.MANAGEMENT_ADDRESS,
          port: endpoint.port,
          secret,
          received: transport === 'btrfs-send' ? await received(staging) : [],
        };
      },
      'transfer.send': (args, call) =>
        work.run(args.saga, async (signal) => {
          const { name, saga, address, port, label, parent, final, bwlimit, compress } = args;
          const secret = unseal(settings, args.secret);
          const began = Date.now();
          const count = meter(args.total, (progress) => call.progress(progress));
          if (args.transport === 'rsyncd') {
            const tree = paths.vserver(name);
            const list = args.suspects ? suspectsFile(settings.RUN_DIR, saga) : undefined;
            const result = await sendRsync(
              { tree, address, port, secret, final: final && !list, bwlimit, compress, list, signal },
              count,
            );
            if (list) await rm(list, { force: true });
            count.at(result.sent);
            const { files, treeBytes, treeFiles } = result;
            return { bytes: result.sent, files, treeBytes, treeFiles, ms: count.end().ms, began };
          }
          if (!label) throw new VsError('usage', 'btrfs-send needs the label of a snapshot');
          const snapshot = paths.snapshot(name, saga, label);
          const snapshotName = `${saga}.${label}`;
          const older = parent ? { parent: paths.snapshot(name, saga, parent) } : {};
          await send(
            { address, port, secret, snapshot, snapshotName, label, bwlimit, ...older, signal },
            count,
          );
          return { ...count.end(), began };
        }),
      'transfer.suspects': ({ name, saga, since }) =>
        work.run(saga, async () => ({
          files: await listSuspects(paths.vserver(name), since, suspectsFile(settings.RUN_DIR, saga)),
        })),
      'transfer.verify': async ({ name, saga, transport, label, treeBytes, treeFiles }) => {
        if (transport === 'btrfs-send') {
          if (!label || !(await received(paths.staging(name, saga))).includes(label))
            throw new VsError('failed', `the last copy of ${name} is not whole on ${host}`);
          return { bytes: 0 };
        }
        const { stdout } = await run(['find', paths.stagingTree(name, saga), '-printf', '%y %s\n'], {
          timeoutMs: 600_000,
        });
        let [bytes, files] = [0, 0];
        for (const line of stdout.split('\n').filter(Boolean)) {
          files++;
          if (line.startsWith('f ') || line.startsWith('l ')) bytes += Number(line.slice(2));
        }
        if (files !== treeFiles || bytes !== treeBytes)
          throw new VsError(
            'failed',
            `the copy of ${name} on ${host} has ${files} files with ${bytes} bytes, the source ${treeFiles} with ${treeBytes}`,
          );
        return { bytes, files };
      },
      'transfer.flush': async ({ name, saga }) => {
        await run(['sync', '-f', paths.staging(name, saga)], { timeoutMs: 600_000 });
        return {};
      },
      'transfer.close': async ({ saga }) => {
        await close(saga);
        return {};
      },
    },
    async start() {
      const left = await endOrphans({ run: settings.RUN_DIR, vservers: settings.VSERVER_DIR });
      if (left > 0) log.warn({ copies: left }, 'copies of a former life were ended');
    },
    async stop() {
      for (const open of endpoints.values()) for (const endpoint of open) endpoint.close();
      await work.endAll();
    },
  };
}
