// services/transfer/main.ts, as the simulated processes see it: copies of trees from disk to disk, which take time and break
import { VsError } from '../../../shared/errors.ts';
import { pathsFor } from '../../../shared/paths.ts';
import type { Context, Service } from '../../../shared/service.ts';
import { asyncCall, currentLife, later, theWorld } from '../current.ts';
import type { Disk } from '../disk.ts';
import type { Inode } from '../inode.ts';
import type { Life } from '../loop.ts';
import { filesOf } from '../trees.ts';

export interface Endpoint {
  life: Life;
  saga: string;
  copy: string;
  staging: string;
  secret: string;
}

const HIDDEN = 'is-coming';
const broken = (message: string) => new VsError('failed', message, { retryable: true });
const noSpace = () => new VsError('failed', 'No space left on device', { details: { side: 'target' } });

/** Makes `to` the same as `from`, file by file, each in the place of the old one; stops after so many of them. */
function rsync(from: Inode, disk: Disk, to: string, most: number): number {
  const have = filesOf(disk.find(to));
  const want = filesOf(from);
  let count = 0;
  for (const [path, text] of want) {
    if (have.get(path) === text) continue;
    if (++count > most) return count;
    const at = `${to}/${path}`;
    disk.makeDirectories(at.slice(0, at.lastIndexOf('/')));
    disk.make(`${at}.new`, text);
    disk.rename(`${at}.new`, at);
  }
  if (count < most) for (const path of have.keys()) if (!want.has(path)) disk.put(`${to}/${path}`, undefined);
  return count;
}

export function service({ settings, host, bus }: Context): Service {
  const paths = pathsFor(settings);
  const world = theWorld();
  const mine = () => [...world.endpoints].filter(([, one]) => one.life === currentLife());
  /** Copies at work here, by saga: what ends them. */
  const working = new Map<string, Set<(error: Error) => void>>();
  const labels = (disk: Disk, staging: string) =>
    (disk.find(staging) ? disk.list(staging) : [])
      .map(([name]) => name)
      .filter((name) => /^p\d+$/.test(name))
      .sort((a, b) => Number(a.slice(1)) - Number(b.slice(1)));

  /** Does something where what comes for a saga lies. */
  function at<T>(
    where: { name: string; saga: string; repository?: string | undefined },
    call: string,
    act: (life: Life, staging: string) => T,
  ): Promise<T> {
    const { name, saga, repository } = where;
    if (repository === undefined) return asyncCall(call, (life) => act(life, paths.staging(name, saga)));
    return bus
      .request(host, 'repository.place', { name, saga, repository })
      .then(({ path }) => asyncCall(call, (life) => act(life, path.slice(0, path.lastIndexOf('/')))));
  }

  return {
    name: 'transfer',
    handlers: {
      'transfer.check': async () => ({}),
      'transfer.open': ({ name, saga, copy, repository }) =>
        at({ name, saga, repository }, 'listen', (life, staging) => {
          if (!life.node.disk.find(staging))
            throw new VsError('conflict', `${host} has no staging for ${name} of saga ${saga}`);
          const port = ++world.lastPort;
          const secret = `secret-${port}`;
          world.endpoints.set(port, { life, saga, copy, staging, secret });
          const received = copy === 'btrfs-send' ? labels(life.node.disk, staging) : [];
          return { address: settings.MANAGEMENT_ADDRESS, port, secret, received };
        }),
      'transfer.send': async (args, call) => {
        const life = currentLife();
        const { node } = life;
        const began = Date.now();
        if (args.renew && args.label)
          await bus.request(host, 'snapshot.renew', {
            name: args.name,
            saga: args.saga,
            label: args.label,
            ...(args.kept ? { kept: args.kept } : {}),
          });
        const { random, loop } = world;
        const path = args.backup
          ? (
              await bus.request(host, 'repository.fetch', {
                ...args.backup,
                vserver: args.name,
                saga: args.saga,
              })
            ).tree
          : args.copy === 'rsync' && args.trash
            ? paths.trashed(args.name, args.trash)
            : args.copy === 'rsync' && !args.label
              ? paths.vserver(args.name)
              : paths.snapshot(args.name, args.saga, args.label ?? '');
        const ended = Promise.withResolvers<never>();
        const ends = working.get(args.saga) ?? new Set();
        working.set(args.saga, ends.add(ended.reject));
        ended.promise.catch(() => undefined);
        let over = false;
        const endpoint = world.endpoints.get(args.port);
        /** Whether both ends and the way between them are there still. */
        const isWhole = () =>
          endpoint !== undefined &&
          !over &&
          world.endpoints.get(args.port) === endpoint &&
          !endpoint.life.dead &&
          !life.dead &&
          !world.isCut(node.name, endpoint.life.node.name);
        const step = (what: () => void) =>
          later('send', random.between(5, args.final ? 60 : 700), () => {
            if (!isWhole()) throw broken(`the connection to ${args.toHost} broke`);
            what();
          });
        async function copy(): Promise<{ files: number; inode: Inode }> {
          if (!endpoint || endpoint.secret !== args.secret)
            throw broken(`the endpoint at ${args.address} cannot be reached`);
          const to = endpoint.life.node;
          let files = 0;
          let source: Inode | undefined;
          // a part, and then the rest: what it was interrupted in is not whole
          for (const most of [random.between(0, 3), Infinity])
            await step(() => {
              world.guests.write(node, path);
              source = node.disk.find(path);
              if (!source) throw new VsError('failed', `${path} is not there`);
              if (to.full) throw noSpace();
              if (args.copy === 'rsync') files += rsync(source, to.disk, `${endpoint.staging}/tree`, most);
              else if (most === Infinity)
                to.disk.put(`${endpoint.staging}/${args.label}`, to.disk.copyOf(source, false, true));
              else to.disk.make(`${endpoint.staging}/${HIDDEN}`, '');
            });
          if (args.copy !== 'rsync') to.disk.put(`${endpoint.staging}/${HIDDEN}`, undefined);
          return { files, inode: source as Inode };
        }
        try {
          const { files, inode } = await Promise.race([copy(), ended.promise]);
          const texts = filesOf(inode);
          const treeBytes = [...texts.values()].reduce((sum, text) => sum + text.length, 0);
          const bytes = files * 100;
          call.progress({ bytes, rate: 1000 });
          return { bytes, files, treeBytes, treeFiles: texts.size, ms: Date.now() - began, began };
        } catch (error) {
          over = true;
          throw error;
        } finally {
          ends.delete(ended.reject);
          world.endpoints.delete(args.port);
          void loop;
        }
      },
      'transfer.connect': () => asyncCall('connect', () => ({})),
      'transfer.remember': () => asyncCall('write', () => ({})),
      'transfer.verify': ({ name, saga, copy, label, treeBytes, treeFiles, repository }) =>
        at({ name, saga, repository }, 'find', ({ node }, staging) => {
          if (copy === 'btrfs-send') {
            if (!label || !labels(node.disk, staging).includes(label))
              throw new VsError('failed', `the last copy of ${name} is not whole on ${host}`);
            return { bytes: 0 };
          }
          const texts = filesOf(node.disk.find(`${staging}/tree`));
          const bytes = [...texts.values()].reduce((sum, text) => sum + text.length, 0);
          if (texts.size !== treeFiles || bytes !== treeBytes)
            throw new VsError(
              'failed',
              `the copy of ${name} on ${host} has ${texts.size} files with ${bytes} bytes, the source ${treeFiles} with ${treeBytes}`,
            );
          return { bytes, files: texts.size };
        }),
      'transfer.flush': () => later('sync', 10, ({ node }) => (node.disk.syncAll(), {})),
      'transfer.close': async ({ saga }) => {
        for (const [port, one] of mine()) if (one.saga === saga) world.endpoints.delete(port);
        for (const end of working.get(saga) ?? []) end(broken('the copy was ended'));
        return asyncCall('close', ({ node }) => (node.full ? { full: 'No space left on device' } : {}));
      },
    },
  };
}
