import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { VsError } from '../../shared/errors.ts';
import { readJson, writeJson } from '../../shared/store.ts';
import { createTurns } from '../../shared/turns.ts';

/** So many wrong secrets for one token, and it is void. */
const TRIES = 10;
const SECRET_BYTES = 18;

const hex = z.string().regex(/^[0-9a-f]{64}$/);
const token = z.strictObject({
  hash: hex, // SHA-256 of the secret, which is random and so long that it needs no slower one
  ends: z.int(), // epoch ms
  again: z.boolean(),
  wrong: z.int(), // secrets so far
  key: hex.optional(), // SHA-256 of the public key that used it
});
export type Token = z.infer<typeof token>;
const file = z.strictObject({ tokens: z.record(z.string(), token) });

const hashOf = (secret: string): Buffer => createHash('sha256').update(secret).digest();

/** The tokens with which hosts join: ca/tokens.json, which holds no secret. One for each name. */
export function openTokens(directory: string) {
  const path = join(directory, 'tokens.json');
  const inTurn = createTurns();
  const turn = <T>(work: () => Promise<T>) => inTurn('tokens', work);
  const isValid = (one: Token) => one.ends > Date.now() && one.wrong < TRIES;
  /** Without those that ended a day ago: until then who comes too late is told so. */
  async function read(): Promise<Record<string, Token>> {
    const all = (await readJson(path, file))?.tokens ?? {};
    return Object.fromEntries(Object.entries(all).filter(([, one]) => one.ends > Date.now() - 86_400_000));
  }
  const write = (tokens: Record<string, Token>) => writeJson(path, file, { tokens });

  return {
    /** A new token for this name, in place of the one before; the secret is told here and never again. */
    create: (name: string, ttlMs: number, again: boolean) =>
      turn(async () => {
        const secret = randomBytes(SECRET_BYTES).toString('base64url');
        const ends = Date.now() + ttlMs;
        await write({
          ...(await read()),
          [name]: { hash: hashOf(secret).toString('hex'), ends, again, wrong: 0 },
        });
        return { secret, ends };
      }),
    /** The token that this secret opens, for a key (SHA-256 of it), which it is bound to from now on. Throws 'refused'. */
    use: (name: string, secret: string, key: string) =>
      turn(async () => {
        const tokens = await read();
        const one = Object.hasOwn(tokens, name) ? tokens[name] : undefined;
        const same = timingSafeEqual(hashOf(secret), Buffer.from(one?.hash ?? '00'.repeat(32), 'hex'));
        if (!one || one.wrong >= TRIES)
          throw new VsError(
            'refused',
            `there is no valid token for ${name}; make a new one on the master: vs host token ${name}`,
          );
        if (!same) {
          await write({ ...tokens, [name]: { ...one, wrong: one.wrong + 1 } });
          throw new VsError(
            'refused',
            `the secret of this token for ${name} is wrong: was a newer one made? ${TRIES - one.wrong - 1} more tries, then it is void`,
            { details: { wrong: one.wrong + 1, void: one.wrong + 1 >= TRIES } },
          );
        }
        if (one.ends <= Date.now())
          throw new VsError(
            'refused',
            `the token for ${name} ended at ${new Date(one.ends).toISOString()}; make a new one: vs host token ${name}`,
          );
        if (one.key !== undefined && one.key !== key)
          throw new VsError(
            'refused',
            `the token for ${name} was used already, with another key. If that was not you: vs host remove ${name}; then make a new one: vs host token ${name}`,
          );
        if (one.key === undefined) await write({ ...tokens, [name]: { ...one, key } });
        return one;
      }),
    /** Makes the token of a name void. */
    drop: (name: string) =>
      turn(async () => {
        const { [name]: dropped, ...rest } = await read();
        if (dropped) await write(rest);
      }),
    /** Those that a host can still come with. */
    valid: () =>
      turn(async () =>
        Object.entries(await read())
          .filter(([, one]) => isValid(one))
          .map(([host, one]) => ({ host, ends: one.ends, used: one.key !== undefined })),
      ),
  };
}
export type Tokens = ReturnType<typeof openTokens>;
