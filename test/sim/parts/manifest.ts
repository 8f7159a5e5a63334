// services/repository/manifest.ts, as the simulated processes see it: every file with its text
import { createHash } from 'node:crypto';
import { later, theWorld } from '../current.ts';
import { fault } from '../inode.ts';
import { filesOf, manifestOf } from '../trees.ts';

const slowly = () => theWorld().random.between(5, 300);
const sizeOf = (texts: Map<string, string>) => [...texts.values()].reduce((sum, one) => sum + one.length, 0);

export const writeManifest = (tree: string, to: string) =>
  later('manifest', slowly(), ({ node }) => {
    const texts = filesOf(node.disk.find(tree));
    if (node.full) throw fault('ENOSPC', to);
    node.disk.make(to, manifestOf(texts));
    return { files: texts.size, bytes: sizeOf(texts), added: 0, read: 0 };
  });
export const writeNextManifest = (tree: string, to: string) => writeManifest(tree, to);
export const isCurrent = () => Promise.resolve(true);
export const countManifest = (manifest: string) =>
  later('read', 2, ({ node }) => {
    const text = node.disk.text(manifest);
    if (text === undefined) throw fault('ENOENT', manifest);
    return { files: text.split('\n').length, bytes: text.length };
  });
export const compareManifest = (tree: string, manifest: string) =>
  later('manifest', slowly(), ({ node }) => {
    const texts = filesOf(node.disk.find(tree));
    const isSame = node.disk.text(manifest) === manifestOf(texts);
    return { files: texts.size, bytes: sizeOf(texts), faults: isSame ? [] : ['a file differs'] };
  });
export const sumOf = (file: string) =>
  later('read', 2, ({ node }) => {
    const text = node.disk.text(file);
    if (text === undefined) throw fault('ENOENT', file);
    return createHash('sha256').update(text).digest('hex');
  });
