// node:path, as the simulated processes see it: the same paths are joined again and again
import { join as real } from 'node:path';

export { basename, dirname, extname, relative, resolve } from 'node:path';

const MOST = 20_000;
const joined = new Map<string, string>();
export function join(...parts: string[]): string {
  if (parts.includes('')) return real(...parts); // it is left out, which the text does not show
  const text = parts.join('/');
  let path = joined.get(text);
  if (path === undefined) {
    if (joined.size > MOST) joined.clear();
    joined.set(text, (path = real(...parts)));
  }
  return path;
}
