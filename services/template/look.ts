import { stat } from 'node:fs/promises';
import { extname } from 'node:path';
import type { Settings } from '../../config/settings.ts';
import type { Data } from '../../shared/contract/commands.ts';
import { imageFile } from './import-image.ts';
import { infoBeside } from './info.ts';
import { extensionOf, find, unknownSentence } from './store.ts';
import { distributionOf, suites } from './suites.ts';

const day = (ts: number): string => new Date(ts).toISOString().slice(0, 10);
const size = (bytes: number): string =>
  bytes < 1e6 ? `${Math.ceil(bytes / 1000)} kB` : `${Math.round(bytes / 1e6)} MB`;

/** What a source is; nothing is built, imported or checked. One that is nothing known is `unknown`, with the reason. */
export async function look(settings: Settings, source: string): Promise<Data<'template.look'>> {
  if (source === 'busybox')
    return { kind: 'busybox', text: 'busybox: built in, of the host; serves HTTP on port 80' };
  const image = imageFile(source);
  const file = image ?? (source.includes('/') ? source : undefined);
  if (file !== undefined) {
    const there = await stat(file).catch(() => undefined);
    const extension = image === undefined ? extensionOf(file) : extname(file);
    if (!file.startsWith('/') || !there?.isFile() || extension === undefined)
      return {
        kind: 'unknown',
        text: `there is no ${image === undefined ? 'tarball' : 'image archive'} ${file} on the master`,
      };
    const info = await infoBeside(file, extension);
    const what = image === undefined ? 'a tarball' : 'an OCI image archive';
    return {
      kind: image === undefined ? 'tarball' : 'image',
      text: `${source}: ${what} of ${size(there.size)} on the master, which becomes a template first`,
      bytes: there.size,
      ...(info === undefined ? {} : { info }),
    };
  }
  const known = /^[a-z0-9][a-z0-9.-]{0,31}$/.test(source)
    ? await find(settings.TEMPLATE_DIR, source)
    : undefined;
  if (known)
    return {
      kind: 'template',
      text: `${source}: a template of ${size(known.bytes)}, made ${day(known.ts)} from ${known.source}`,
      bytes: known.bytes,
      template: known.name,
      ...(known.info === undefined ? {} : { info: known.info }),
    };
  if (suites.includes(source)) {
    const of = distributionOf(source) === 'ubuntu' ? 'Ubuntu' : 'Debian';
    return {
      kind: 'suite',
      text: `${source}: a suite of ${of}, which is built first; that takes some minutes`,
    };
  }
  return { kind: 'unknown', text: await unknownSentence(settings.TEMPLATE_DIR, source) };
}
