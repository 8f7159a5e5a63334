import { z } from 'zod';
import { type CommandSpec, hostCommand } from './command.ts';
import { name } from './names.ts';

const line = z
  .string()
  .max(131_072)
  .refine((text) => !text.includes('\0'), 'no NUL');

/** A path inside a vserver: absolute, without `..`, so that it names what it says. */
export const guestPath = z
  .string()
  .max(4096)
  .startsWith('/', 'a path inside begins with /')
  .refine((text) => !text.includes('\0'), 'no NUL')
  .refine((text) => !text.split('/').includes('..'), 'a path inside has no ".."');

/** The name of the terminal as terminfo knows it. */
const term = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9+._-]{0,63}$/, 'the name of a terminal such as xterm');
const cells = z.int().min(1).max(65_535);

/** Who it is inside: a name of its /etc/passwd, or numbers. */
export const guestUser = z
  .string()
  .regex(/^([a-z_][a-z0-9_.-]{0,31}|\d{1,5}(:\d{1,5})?)$/i, 'a user such as www-data, 33 or 33:33');

/** What a session does. `run` without a command is a login shell. */
export const sessionWork = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('run'),
    command: z.array(line).min(1).max(1000).optional(),
    user: guestUser.optional(),
    terminal: z
      .strictObject({
        term,
        rows: cells,
        columns: cells,
        colours: z.enum(['truecolor', '24bit']).optional(),
      })
      .optional(),
    timeout: z.int().min(1).max(86_400_000).optional(), // ms
  }),
  z.strictObject({
    kind: z.literal('push'),
    to: guestPath,
    /** How it is called when `to` is a directory. */
    as: z
      .string()
      .min(1)
      .max(255)
      .regex(/^[^/\0]+$/, 'a file name')
      .refine((text) => text !== '.' && text !== '..', 'a file name'),
    tree: z.boolean(),
    /** Directories on the way are made. */
    parents: z.boolean().optional(),
  }),
  z.strictObject({ kind: z.literal('pull'), from: guestPath, tree: z.boolean() }),
]);
export type SessionWork = z.infer<typeof sessionWork>;

export const sessionCommands = {
  'host-agent.session': hostCommand(
    'open an endpoint for one session in a vserver, for one client, within 30 s: a program or a shell with its streams (run), a tar stream into it (push) or out of it (pull; both also while it is stopped). It speaks the frames of shared/frames.ts behind a first line with the secret. The secret comes sealed for `reader`, an X25519 key that the caller has made for this call',
    z.strictObject({
      name,
      reader: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
      /** TLS on the management address unless told; a socket is for this host's root. */
      endpoint: z.enum(['tls', 'socket']).optional(),
      work: sessionWork,
    }),
    z.object({
      host: name,
      /** Where: an address and a port, or the path of a socket. */
      address: z.string().optional(),
      port: z.int().optional(),
      path: z.string().optional(),
      secret: z.string(), // sealed for the reader
    }),
  ),
} satisfies Record<string, CommandSpec>;
