import { readFileSync } from 'node:fs';
import { parseSlaves } from '../../config/slaves.ts';
import type { Settings } from '../../config/settings.ts';
import { fileMark } from '../../shared/store.ts';

/** The hosts that slaves.conf marks `noselect`, read again when it has changed; one with a fault leaves what was known. */
export function openNoselect({ CONFIG_DIR }: Pick<Settings, 'CONFIG_DIR'>): () => ReadonlySet<string> {
  const file = `${CONFIG_DIR}/slaves.conf`;
  let mark = 'none';
  let hosts: ReadonlySet<string> = new Set();
  return () => {
    const now = fileMark(file);
    if (now === mark) return hosts;
    mark = now;
    try {
      const slaves = now === 'none' ? [] : parseSlaves(readFileSync(file, 'utf8'), file);
      hosts = new Set(slaves.filter((one) => one.noselect).map((one) => one.host));
    } catch {
      // whoever chooses a host or a transport reads the file too, and names the fault
    }
    return hosts;
  };
}
