import type { Server } from 'node:http';
import { join } from 'node:path';
import { VsError } from '../../shared/errors.ts';
import type { Context, Service } from '../../shared/service.ts';
import { build, ensureFile, importFile } from './build.ts';
import { offer } from './serve.ts';
import { find, list, locked, publicOf, remove, suites, unknownSentence } from './store.ts';

/** The template service: the tarballs that vservers are created from, built, kept and handed to hosts. */
export function service({ settings }: Context): Service {
  const directory = settings.TEMPLATE_DIR;
  const servers = new Set<Server>();
  return {
    name: 'template',
    handlers: {
      'template.list': async () => ({ templates: (await list(directory)).map(publicOf) }),
      'template.build': (args, call) => build(settings, args, call),
      'template.import': (args, call) => importFile(settings, args, call),
      'template.remove': async ({ name }) => {
        await locked(directory, name, () => remove(directory, name));
        return {};
      },
      'template.ensure': async ({ source }, call) => {
        if (source === 'busybox') return { kind: 'busybox' };
        if (source.includes('/'))
          return { kind: 'template', template: await ensureFile(settings, source, call) };
        const known = /^[a-z0-9][a-z0-9.-]{0,31}$/.test(source) ? await find(directory, source) : undefined;
        if (known) return { kind: 'template', template: publicOf(known) };
        if (suites.includes(source))
          return { kind: 'template', template: await build(settings, { suite: source }, call) };
        throw new VsError('not-found', await unknownSentence(directory, source));
      },
      'template.serve': async ({ name, to }) => {
        const found = await find(directory, name);
        if (!found) throw new VsError('not-found', await unknownSentence(directory, name));
        const { file, bytes, sha256 } = found;
        const made = await offer(settings.MANAGEMENT_ADDRESS, {
          path: join(directory, file),
          file,
          bytes,
          to,
        });
        servers.add(made.server);
        made.server.on('close', () => servers.delete(made.server));
        return { url: made.url, secret: made.secret, sha256, bytes };
      },
    },
    async stop() {
      for (const server of servers) {
        server.close();
        server.closeAllConnections();
      }
    },
  };
}
