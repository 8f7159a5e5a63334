import { randomBytes } from 'node:crypto';
import { mkdir, readdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { loadRepositories } from '../../config/repositories.ts';
import type { Args } from '../../shared/contract/commands.ts';
import { VsError } from '../../shared/errors.ts';
import { pathsFor } from '../../shared/paths.ts';
import { run } from '../../shared/run.ts';
import { keepSpares } from '../../shared/spare.ts';
import { unseal } from '../../shared/seal.ts';
import type { Context, Service } from '../../shared/service.ts';
import { type Admitted, admitPlain, admitTls } from './admission.ts';
import { type Counted, applyList } from './apply.ts';
import { dropAside, setAside } from './aside.ts';
import { receive, send } from './btrfs-send.ts';
import { listFile, openChanges } from './changes.ts';
import { type Endpoint, openEndpoint } from './endpoint.ts';
import { ownIdentity } from './identity.ts';
import { openHeld } from './held.ts';
import { noteAll, noteList } from './lists.ts';
import { openMarkers } from './markers.ts';
import { packageHandlers } from './package-commands.ts';
import { meter } from './progress.ts';
import { endOrphans } from './orphans.ts';
import { serveRsync, serveRsyncOn } from './rsyncd.ts';
import { sendTree } from './sending.ts';
import { receiveTar } from './tar.ts';
import { isFull } from './unkept.ts';
import { openWire } from './wire.ts';
import { openWork } from './work.ts';

/** What runs on the source from the stop on: the runtime's tools, a snapshot, the copy. */
const SPARES = 5;

/** Where what comes for a saga lies. */
interface Place {
  staging: string;
  tree: string;
  links: boolean;
  lists?: string | undefined;
  counted?: Counted | undefined;
}

/** The transfer service: one-time endpoints on the target, copies from the source. */
export function service(context: Context): Service {
  const { settings, host, log } = context;
  const paths = pathsFor(settings);
  const endpoints = new Map<string, Set<Endpoint>>();
  const work = openWork();
  const held = openHeld();
  /** By saga: what rsync said on this side when it could not write; behind a stream its sender does not hear it. */
  const full = new Map<string, string>();
  /** Source: what the passes of a saga know of its tree. */
  const changes = openChanges(settings.RUN_DIR);
  /** Source: what the backups of its vservers have seen. */
  const markers = openMarkers(`${settings.STATE_DIR}/backup-marks`);
  /** Target, by saga: how much lies in the staging tree, where that is known. */
  const counts = new Map<string, Counted>();

  async function received(staging: string): Promise<string[]> {
    return (await readdir(staging).catch(() => []))
      .filter((label) => /^p\d+$/.test(label))
      .sort((a, b) => Number(a.slice(1)) - Number(b.slice(1)));
  }
  /** Where what comes for a saga lies. `links`: its files belong to others, too; `lists`: what passes change is noted there. */
  async function placeOf(where: {
    name: string;
    saga: string;
    repository?: string | undefined;
  }): Promise<Place> {
    const { name, saga, repository } = where;
    if (repository === undefined)
      return { staging: paths.staging(name, saga), tree: paths.stagingTree(name, saga), links: false };
    const place = await context.bus.request(host, 'repository.place', { name, saga, repository });
    const { path, links, changes: lists, counted } = place;
    return { staging: dirname(path), tree: path, links, lists, counted };
  }
  async function snapshotOf({ name, saga, label }: Args<'transfer.send'>) {
    if (label === undefined) return undefined;
    const { snapshots } = await context.bus.request(host, 'snapshot.list', { name, saga });
    return snapshots.find((one) => one.label === label);
  }
  /** Throws when the snapshot that was copied was lost meanwhile: what came of it counts for nothing. */
  async function requireWhole(args: Args<'transfer.send'>): Promise<void> {
    const lost = (await snapshotOf(args))?.lost;
    if (lost !== undefined) throw new VsError('failed', lost);
  }
  /** The first pass of a backup: what changed since the one before, where that is known; else why not. */
  async function recall(args: Args<'transfer.send'>, tree: string): Promise<string | undefined> {
    const { name, saga, kind, since, into } = args;
    if (!into || kind !== 'list' || since !== undefined) return undefined;
    const known = await markers.recall(`${name}.${into.repository}`, into.basis ?? '', paths.vserver(name));
    if (typeof known === 'string') return known;
    await changes.seed(saga, tree, known.mark, known.index);
    return undefined;
  }
  /** What rsync copies. */
  async function treeOf({ name, saga, label, trash, backup }: Args<'transfer.send'>): Promise<string> {
    if (backup)
      return (await context.bus.request(host, 'repository.fetch', { ...backup, vserver: name, saga })).tree;
    if (trash) return paths.trashed(name, trash);
    return label ? paths.snapshot(name, saga, label) : paths.vserver(name);
  }
  async function close(saga: string, again = false): Promise<void> {
    for (const endpoint of endpoints.get(saga) ?? []) endpoint.close();
    endpoints.delete(saga);
    held.drop(saga);
    await work.end(saga);
    if (!again) await changes.forget(saga);
    counts.delete(saga);
  }
  /** Target: one pass into the tree of a saga, and what the tree holds after it, as far as the pass tells. */
  async function receiveTree(
    saga: string,
    admitted: Admitted,
    serving: Parameters<typeof serveRsyncOn>[2],
    { tree, links, lists, counted }: Place,
  ) {
    const before = counts.get(saga) ?? counted;
    counts.delete(saga); // until the pass has ended well
    const byList = admitted.words[1] === 'list';
    if (lists !== undefined && !byList) await noteAll(lists);
    if (links && !byList) await setAside(tree);
    if (admitted.words[0] === 'tar')
      return receiveTar(admitted, {
        tree,
        runDir: settings.RUN_DIR,
        signal: serving.signal,
        onLog: serving.onLog,
      });
    const note = lists === undefined ? undefined : (list: string) => noteList(lists, list);
    const more = await serveRsyncOn(admitted, tree, { ...serving, shared: links, note });
    if (before && more)
      counts.set(saga, { files: before.files + more.files, bytes: before.bytes + more.bytes });
  }
  async function countTree(saga: string, tree: string): Promise<void> {
    if (!counts.has(saga) && (await stat(tree).catch(() => undefined)))
      counts.set(saga, await applyList(tree, 'count', undefined));
  }

  return {
    name: 'transfer',
    handlers: {
      ...packageHandlers(context, endpoints, work),
      'transfer.check': async ({ channel, role }) => {
        if (channel === 'tls') ownIdentity(settings.TLS_DIR, host);
        if (channel === 'ssh' && role === 'source') await run(['ssh', '-V']);
        return {};
      },
      'transfer.open': async ({
        name,
        saga,
        copy,
        channel,
        fromHost,
        from,
        kind = 'full',
        live = false,
        ttl,
        repository,
      }) => {
        const place = await placeOf({ name, saga, repository });
        const { staging, tree } = place;
        if (!(await stat(staging).catch(() => undefined)))
          throw new VsError('conflict', `${host} has no staging for ${name} of saga ${saga}`);
        // one pass of a saga at a time: what a former life of the orchestrator made ready, and nobody will use, ends
        for (const one of endpoints.get(saga) ?? []) one.close();
        await work.end(saga);
        await mkdir(settings.RUN_DIR, { recursive: true, mode: 0o700 });
        const secret = randomBytes(24).toString('base64url');
        full.delete(saga);
        const onLog = (line: string) => {
          log.debug({ saga }, line);
          const said = line.split('\n').find((one) => isFull(one));
          if (said) full.set(saga, said.slice(0, 300));
        };
        const serving = { runDir: settings.RUN_DIR, onLog, todo: listFile(settings.RUN_DIR, saga, 'todo') };
        const atWork = (what: (signal: AbortSignal) => Promise<void>) =>
          work.run(saga, what).catch((error: unknown) => {
            log.warn({ saga, error: String(error) }, 'a transfer failed');
            throw error;
          });
        const common = {
          // ssh ends on this host: nobody else needs to reach the endpoint
          address: channel === 'ssh' ? '127.0.0.1' : settings.MANAGEMENT_ADDRESS,
          from: channel === 'ssh' ? '127.0.0.1' : from,
          ttl,
          onRefused: (other: string, reason: string) =>
            log.warn({ saga, from: other, reason }, 'a connection to a transfer endpoint was refused'),
          onClose: () => endpoints.get(saga)?.delete(endpoint),
        };
        const identity = channel === 'tls' ? ownIdentity(settings.TLS_DIR, host) : undefined;
        const endpoint: Endpoint =
          copy === 'rsync' && channel === 'plain' && kind === 'full' && repository === undefined
            ? await openEndpoint({
                ...common,
                admit: (socket) => Promise.resolve(socket), // rsync itself asks for the secret, and reads from the first byte on
                serve: (socket) =>
                  atWork((signal) => {
                    counts.delete(saga);
                    return serveRsync(socket, tree, secret, { ...serving, from, signal });
                  }),
              })
            : await openEndpoint({
                ...common,
                admit: (socket) =>
                  identity ? admitTls(socket, { identity, fromHost, secret }) : admitPlain(socket, secret),
                serve: (admitted) =>
                  atWork((signal) =>
                    copy === 'rsync'
                      ? receiveTree(saga, admitted, { ...serving, signal }, place)
                      : receive(admitted, staging, live, signal),
                  ),
              });
        endpoints.set(saga, (endpoints.get(saga) ?? new Set()).add(endpoint));
        return {
          address: settings.MANAGEMENT_ADDRESS,
          port: endpoint.port,
          secret,
          received: copy === 'btrfs-send' ? await received(staging) : [],
        };
      },
      'transfer.send': (args, call) =>
        work.run(args.saga, async (signal) => {
          const { name, saga, channel, toHost, address, port, label, parent, final, bwlimit, compress } =
            args;
          const secret = unseal(settings, args.secret);
          const identity = channel === 'tls' ? ownIdentity(settings.TLS_DIR, host) : undefined;
          const ready = held.take(saga, port);
          const way = { channel, toHost, address, port, secret, identity, signal, held: ready };
          const began = Date.now();
          const count = meter(args.total, (progress) => call.progress(progress));
          if (args.copy === 'rsync') {
            await mkdir(settings.RUN_DIR, { recursive: true, mode: 0o700 });
            const { kind = 'full', since, into } = args;
            const tree = await treeOf(args);
            const runDir = settings.RUN_DIR;
            const unknown = await recall(args, tree);
            const more = into ? { keep: true, asOf: (await snapshotOf(args))?.ts } : {};
            const what = { saga, tree, runDir, way, kind, final, bwlimit, compress, ...more };
            const sent = await sendTree({ ...what, since: since ?? into?.taken }, changes, count).catch(
              async (error: unknown) => {
                await requireWhole(args); // says why, where its snapshot was lost meanwhile
                throw error;
              },
            );
            await requireWhole(args);
            if (sent.full && unknown !== undefined) sent.full = unknown;
            if (sent.full) log.warn({ saga, reason: sent.full }, 'a full pass instead of a list of changes');
            count.at(sent.bytes);
            return { ...sent, ms: count.end().ms };
          }
          if (!label) throw new VsError('usage', 'btrfs-send needs the label of a snapshot');
          if (args.renew) {
            const of = args.kept ? { kept: args.kept } : {};
            await context.bus.request(host, 'snapshot.renew', { name, saga, label, ...of });
          }
          const snapshot = paths.snapshot(name, saga, label);
          const snapshotName = `${saga}.${label}`;
          const older = parent ? { parent: paths.snapshot(name, saga, parent) } : {};
          const runDir = settings.RUN_DIR;
          if (!final) await mkdir(runDir, { recursive: true, mode: 0o700 });
          const what = { snapshot, snapshotName, label, runDir, live: !final, bwlimit, compress, ...older };
          await send(way, what, count);
          return { ...count.end(), began };
        }),
      'transfer.remember': async ({ name, saga, repository, id }) => {
        const last = changes.last(saga);
        await markers.remember(
          `${name}.${repository}`,
          last && { id, mark: last.mark, index: last.index, tree: paths.vserver(name) },
        );
        return {};
      },
      'transfer.connect': ({ saga, copy, channel, toHost, address, port, label, secret }) =>
        work.run(saga, async (signal) => {
          const identity = channel === 'tls' ? ownIdentity(settings.TLS_DIR, host) : undefined;
          const opening = { channel, toHost, address, port, identity, signal };
          const words =
            copy === 'rsync' ? ['rsync', 'list'] : ['btrfs-send', `${saga}.${label}`, label ?? ''];
          const wire = await openWire({ ...opening, secret: unseal(settings, secret) }, words);
          held.keep(saga, port, { wire, words: words.join(' ') });
          keepSpares(SPARES);
          return {};
        }),
      'transfer.verify': async ({ name, saga, copy, label, treeBytes, treeFiles, repository }) => {
        if (copy === 'btrfs-send') {
          if (!label || !(await received(paths.staging(name, saga))).includes(label))
            throw new VsError('failed', `the last copy of ${name} is not whole on ${host}`);
          return { bytes: 0 };
        }
        await work.settled(saga); // the last pass may still be counting what it changed
        const { tree, links } = await placeOf({ name, saga, repository });
        if (links) await dropAside(tree);
        const agrees = (one: Counted) => one.files === treeFiles && one.bytes === treeBytes;
        const reckoned = counts.get(saga);
        if (reckoned && agrees(reckoned)) return reckoned;
        if (reckoned)
          log.warn({ saga, ...reckoned, treeFiles, treeBytes }, 'the lists do not add up: all is counted');
        const { files, bytes } = await applyList(tree, 'count', undefined);
        if (!agrees({ files, bytes }))
          throw new VsError(
            'failed',
            `the copy of ${name} on ${host} has ${files} files with ${bytes} bytes, the source ${treeFiles} with ${treeBytes}`,
          );
        return { bytes, files };
      },
      'transfer.flush': async (args) => {
        const { saga } = args;
        await work.settled(saga);
        const { staging, tree, links } = await placeOf(args);
        if (links) await dropAside(tree);
        // a tree may be a file system of its own
        const places = (await stat(tree).catch(() => undefined)) ? [staging, tree] : [staging];
        await Promise.all([
          ...places.map((place) => run(['sync', '-f', place], { timeoutMs: 600_000 })),
          countTree(saga, tree),
        ]);
        return {};
      },
      'transfer.close': async ({ saga, again }) => {
        await close(saga, again);
        const said = full.get(saga);
        full.delete(saga);
        return said === undefined ? {} : { full: said };
      },
    },
    async start() {
      const backups = (await loadRepositories(settings).catch(() => [])).map((one) => one.path);
      const left = await endOrphans({ run: settings.RUN_DIR, vservers: settings.VSERVER_DIR, backups });
      if (left > 0) log.warn({ copies: left }, 'copies of a former life were ended');
    },
    async stop() {
      held.dropAll();
      for (const open of endpoints.values()) for (const endpoint of open) endpoint.close();
      await work.endAll();
      await changes.forgetAll();
      markers.stop();
    },
  };
}
