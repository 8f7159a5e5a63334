import { fileURLToPath } from 'node:url';
import { start } from '../../shared/run.ts';

const idmapMount = fileURLToPath(new URL('./idmap-mount.pl', import.meta.url));

/** A mount that waits for its word: what can be done before is done. */
export interface Mounting {
  /** False: it is not there any more, or could not. */
  go(): Promise<boolean>;
  drop(): void;
}

/** Begins the idmapped mount of a tree that may not be there yet, as far as it goes without it. */
export function mountWaiting(rootfs: string, mount: string, idmap: number): Mounting {
  const child = start(['perl', idmapMount, rootfs, mount, String(idmap), '65536', 'wait'], {
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const ended = new Promise<boolean>((resolve) => {
    child.once('error', () => resolve(false));
    child.once('close', (code) => resolve(code === 0));
  });
  child.stdin?.on('error', () => undefined);
  let over = false;
  void ended.then(() => (over = true));
  return {
    async go() {
      if (over) return false;
      child.stdin?.end('go\n');
      return ended;
    },
    drop: () => void child.stdin?.end(),
  };
}
