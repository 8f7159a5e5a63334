import { z } from 'zod';
import { cancel, command } from './command.ts';
import { id } from './names.ts';

const word = z.string().max(100); // service.command; what it is not is refused by the dispatcher

/** A command by the agent's own socket: what a command topic carries, with its name and its id; the reply comes back there. */
export const localCommand = z.strictObject({
  ...command.omit({ replyTo: true, issuer: true }).shape,
  id,
  command: word,
});
/** Gives it up, as on the bus. */
export const localCancel = z.strictObject({ ...cancel.omit({ issuer: true }).shape, command: word });
