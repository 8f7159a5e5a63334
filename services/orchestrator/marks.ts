import { z } from 'zod';
import type { Settings } from '../../config/settings.ts';
import { hostName, id, name, ts } from '../../shared/contract/names.ts';
import { readJson, writeJson } from '../../shared/store.ts';

/** A host that was evacuated: nothing new is placed there until those that left it came back. */
const mark = z.object({
  since: ts,
  saga: id,
  by: z.string(),
  /** Where those went that left it. */
  left: z.array(z.object({ name, to: hostName })),
});
export type Mark = z.infer<typeof mark>;
const file = z.object({ version: z.literal(1), hosts: z.record(z.string(), mark) });

/** The marks of evacuated hosts, in STATE_DIR/evacuated.json: durable once a change has resolved. */
export function openMarks({ STATE_DIR }: Pick<Settings, 'STATE_DIR'>) {
  const path = `${STATE_DIR}/evacuated.json`;
  let hosts: Record<string, Mark> = {};
  let loaded: Promise<void> | undefined;
  let writing: Promise<unknown> = Promise.resolve();
  /** Throws VsError that names the file when it is damaged: what it forbids is unknown then. */
  function load(): Promise<void> {
    loaded ??= readJson(path, file).then(
      (found) => void (hosts = found?.hosts ?? {}),
      (error: unknown) => {
        loaded = undefined; // once it is mended it counts
        throw error;
      },
    );
    return loaded;
  }
  async function change(how: (hosts: Record<string, Mark>) => void): Promise<void> {
    await load();
    const next = writing.then(async () => {
      const changed = structuredClone(hosts);
      how(changed);
      await writeJson(path, file, { version: 1, hosts: changed });
      hosts = changed;
    });
    writing = next.catch(() => undefined);
    return next;
  }
  return {
    load,
    get: (host: string): Mark | undefined => hosts[host],
    /** Marks a host, or leaves its mark as it is. */
    set: (host: string, by: Pick<Mark, 'since' | 'saga' | 'by'>) =>
      change((all) => void (all[host] ??= { ...by, left: [] })),
    /** One has left a marked host. */
    leave: (host: string, one: Mark['left'][number]) =>
      change((all) => {
        const of = all[host];
        if (of) of.left = [...of.left.filter((other) => other.name !== one.name), one];
      }),
    /** One came back, or is not waited for any more. */
    forget: (host: string, vserver: string) =>
      change((all) => {
        const of = all[host];
        if (of) of.left = of.left.filter((one) => one.name !== vserver);
      }),
    clear: (host: string) => change((all) => void delete all[host]),
  };
}
export type Marks = ReturnType<typeof openMarks>;
