import { createReadStream } from 'node:fs';
import { z } from 'zod';
import { VsError } from '../../../shared/errors.ts';
import { unpacked, verified } from './streams.ts';
import { readTar } from './tar-read.ts';

/** A file of an archive: where its bytes are, or which other one it stands for. */
type Member = { offset: number; size: number } | { link: string };
const MOST_MEMBERS = 20_000;
const MOST_JSON = 4 * 1024 * 1024;

/** Names as they are compared: without ./ and // */
const plain = (name: string): string =>
  name
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/');

/** The path that a link of an archive means, from the directory it lies in; it may not lead out. */
function linked(from: string, to: string, isSymbolic: boolean): string {
  const parts = isSymbolic ? plain(from).split('/').slice(0, -1) : [];
  for (const part of to.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts.join('/');
}

/** Opens an archive of an image (a plain tar): the files in it can be read by their names. Throws VsError 'failed' at damage. */
export async function openArchive(file: string) {
  const members = new Map<string, Member>();
  for await (const { entry } of readTar(createReadStream(file) as AsyncIterable<Buffer>)) {
    const { path, kind, offset, size, link } = entry;
    if (kind === 'file') members.set(plain(path), { offset, size });
    else if (kind === 'symlink' || kind === 'hardlink')
      members.set(plain(path), { link: linked(path, link, kind === 'symlink') });
    if (members.size > MOST_MEMBERS)
      throw new VsError(
        'failed',
        `${file} has more than ${MOST_MEMBERS} files, so it is no archive of one image`,
      );
  }
  function member(name: string): { offset: number; size: number } | undefined {
    let found = members.get(plain(name));
    for (let links = 0; found && 'link' in found && links < 8; links++) found = members.get(found.link);
    return found && 'offset' in found ? found : undefined;
  }
  /** The bytes of a member as they lie there. */
  function open(name: string): AsyncIterable<Buffer> {
    const found = member(name);
    if (!found)
      throw new VsError('failed', `${file} is no whole image: ${name.slice(0, 120)} is missing in it`);
    if (found.size === 0) return (async function* () {})();
    const { offset, size } = found;
    return createReadStream(file, { start: offset, end: offset + size - 1 }) as AsyncIterable<Buffer>;
  }
  return {
    has: (name: string): boolean => member(name) !== undefined,
    size: (name: string): number => member(name)?.size ?? 0,
    open,
    /** A JSON document, as its schema has it, checked against its digest when there is one. */
    async json<T extends z.ZodType>(name: string, schema: T, digest?: string): Promise<z.infer<T>> {
      if ((member(name)?.size ?? 0) > MOST_JSON)
        throw new VsError(
          'failed',
          `${name} of ${file} has more than 4 MB, so it is no description of an image`,
        );
      const source = open(name);
      const parts: Buffer[] = [];
      for await (const part of digest ? verified(source, digest, `${name} of ${file}`) : source)
        parts.push(part);
      try {
        return schema.parse(JSON.parse(Buffer.concat(parts).toString()));
      } catch (error) {
        const issue = error instanceof z.ZodError ? error.issues[0] : undefined;
        const why = issue ? `${issue.path.join('.')}: ${issue.message}` : 'it is no JSON';
        throw new VsError('failed', `${name.slice(0, 120)} of ${file} cannot be read: ${why}`, {
          cause: error,
        });
      }
    },
    /** A layer without its compression: checked against the digest of its blob, if there is one, and that of its files. */
    layer(name: string, blob: { digest: string; size: number } | undefined, diffId: string) {
      const what = `layer ${diffId.slice(7, 19)}`;
      const raw = blob ? verified(open(name), blob.digest, what, blob.size) : open(name);
      return verified(unpacked(raw, what), diffId, what);
    },
  };
}
export type Archive = Awaited<ReturnType<typeof openArchive>>;
