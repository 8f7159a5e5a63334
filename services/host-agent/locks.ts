import { join } from 'node:path';
import { z } from 'zod';
import { id, ts } from '../../shared/contract/names.ts';
import { VsError } from '../../shared/errors.ts';
import { readJson, removeFileDurable, rereader, writeJson } from '../../shared/store.ts';

/** What became of the script that a saga runs once; without a code it was begun and its end is not known. */
const script = z.strictObject({ code: z.int().optional(), tail: z.string().optional() });
type Script = z.infer<typeof script>;
const lock = z.strictObject({ version: z.literal(1), saga: id, until: ts, script: script.optional() });

/** Holds of vservers by sagas, on disk so that they outlive the agent. A hold ends by itself at `until`. */
export function openLocks(stateDirectory: string) {
  const file = (name: string) => join(stateDirectory, 'locks', `${name}.json`);
  const reread = rereader(lock);
  const holderIn = (now: z.infer<typeof lock> | undefined): string | undefined =>
    now && now.until > Date.now() ? now.saga : undefined;
  const holder = async (name: string) => holderIn(await readJson(file(name), lock));
  return {
    holder,
    /** The same for who looks each second: the file is read only when it changed. */
    seen: async (name: string) => holderIn(await reread(file(name))),
    /** Throws 'conflict' when another saga has it. */
    async require(name: string, saga: string | undefined): Promise<void> {
      const by = await holder(name);
      if (by && by !== saga)
        throw new VsError('conflict', `${name} is locked by saga ${by}; see it with: vs saga show ${by}`, {
          retryable: true,
        });
    },
    async take(name: string, saga: string, ttl: number): Promise<void> {
      await this.require(name, saga);
      await writeJson(file(name), lock, { version: 1, saga, until: Date.now() + ttl });
    },
    /** What is known of the script of the saga that holds it. Throws 'conflict' when that saga does not. */
    async script(name: string, saga: string): Promise<Script | undefined> {
      if ((await holder(name)) !== saga) throw new VsError('conflict', `saga ${saga} does not hold ${name}`);
      return (await readJson(file(name), lock))?.script;
    },
    /** Keeps what is known of it, as long as the hold; durable when it returns. */
    async keepScript(name: string, saga: string, now: Script): Promise<void> {
      const held = await readJson(file(name), lock);
      if (held?.saga !== saga) throw new VsError('conflict', `saga ${saga} does not hold ${name}`);
      await writeJson(file(name), lock, { ...held, script: now });
    },
    async drop(name: string, saga: string): Promise<void> {
      if ((await holder(name)) === saga) await removeFileDurable(file(name));
    },
  };
}
export type Locks = ReturnType<typeof openLocks>;
