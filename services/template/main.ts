import type { Server } from 'node:http';
import { join } from 'node:path';
import { VsError } from '../../shared/errors.ts';
import type { Context, Service } from '../../shared/service.ts';
import { build, update } from './build.ts';
import { ensureImage, imageFile, importImage } from './import-image.ts';
import { ensureFile, importFile } from './import.ts';
import { look } from './look.ts';
import { offer } from './serve.ts';
import { type Record_, find, list, locked, publicOf, remove, unknownSentence } from './store.ts';
import { suites } from './suites.ts';

/** The template service: the tarballs that vservers are created from, built, kept and handed to hosts. */
export function service({ settings }: Context): Service {
  const directory = settings.TEMPLATE_DIR;
  const servers = new Set<Server>();
  async function known(name: string): Promise<Record_> {
    const found = await find(directory, name);
    if (!found) throw new VsError('not-found', await unknownSentence(directory, name));
    return found;
  }
  return {
    name: 'template',
    handlers: {
      'template.list': async () => ({ templates: (await list(directory)).map(publicOf) }),
      'template.show': async ({ name }) => publicOf(await known(name)),
      'template.look': ({ source }) => look(settings, source),
      'template.build': (args, call) => build(settings, args, call),
      'template.update': ({ name }, call) => update(settings, name, call),
      'template.import': ({ file, name }, call) => {
        const image = imageFile(file);
        return image === undefined
          ? importFile(settings, { file, name }, call)
          : importImage(settings, { file: image, name }, call);
      },
      'template.remove': async ({ name }) => {
        await locked(directory, name, () => remove(directory, name));
        return {};
      },
      'template.ensure': async ({ source }, call) => {
        if (source === 'busybox') return { kind: 'busybox' };
        const image = imageFile(source);
        if (image !== undefined)
          return { kind: 'template', template: await ensureImage(settings, image, call) };
        if (source.includes('/'))
          return { kind: 'template', template: await ensureFile(settings, source, call) };
        const found = /^[a-z0-9][a-z0-9.-]{0,31}$/.test(source) ? await find(directory, source) : undefined;
        if (found) return { kind: 'template', template: publicOf(found) };
        if (suites.includes(source))
          return { kind: 'template', template: await build(settings, { suite: source }, call) };
        throw new VsError('not-found', await unknownSentence(directory, source));
      },
      'template.serve': async ({ name, to }) => {
        const { file, bytes, sha256 } = await known(name);
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
