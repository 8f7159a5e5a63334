// node:crypto, as the simulated processes see it: what is by chance comes from the seed
import { theWorld } from '../current.ts';

export * from 'node:crypto';
/** More than an id or a key is what no file system can pack: a reserve. Nothing packs it here. */
const MOST = 1024;
/** By size; whoever asks for so many only writes them. */
const large = new Map<number, Buffer>();
function largeBytes(size: number): Buffer {
  let bytes = large.get(size);
  if (!bytes) large.set(size, (bytes = Buffer.alloc(size)));
  return bytes;
}
export const randomBytes = (size: number): Buffer =>
  size > MOST ? largeBytes(size) : Buffer.from(theWorld().random.hex(size), 'hex');
export function randomUUID(): string {
  const hex = theWorld().random.hex(16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20)}`;
}
