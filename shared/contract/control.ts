import { z } from 'zod';
import { type CommandSpec, errorCode, hostCommand } from './command.ts';
import { bytes, ipv4, ipv6, name } from './names.ts';
import { bootPlan, vserverState, wantedAddress } from './vserver.ts';

const named = z.strictObject({ name });
const { order, delay, stopTimeout } = bootPlan.shape;

/** What can be done with every vserver of a host by one command. */
export const everyVerb = z.enum(['start', 'stop', 'restart', 'kill', 'pause', 'resume', 'enable', 'disable']);
export type EveryVerb = z.infer<typeof everyVerb>;

/** A place in the console of a vserver: the file (its inode), and the byte in it. */
export const consolePlace = z.strictObject({ file: z.int().min(0), at: z.int().min(0) });
export type ConsolePlace = z.infer<typeof consolePlace>;

/** Commands for people, beside those of vserver.ts, which sagas use as well. */
export const controlCommands = {
  'host-agent.pause': hostCommand(
    'freeze all processes of a vserver where they are; its address stays on the network',
    named,
    vserverState,
  ),
  'host-agent.resume': hostCommand(
    'let a paused vserver run on; refused when this host does not own it',
    named,
    vserverState,
  ),
  'host-agent.press': hostCommand(
    'above so many bytes of memory one that runs is slowed down, and its memory is taken back first; for as long as it runs (null: no more). No limit changes, nothing is killed',
    z.strictObject({ name, bytes: bytes.nullable() }),
  ),
  'host-agent.boot': hostCommand(
    'change when it starts and stops with the others of its host (null: as if never set), and answer how that is now',
    z.strictObject({
      name,
      enabled: z.boolean().optional(),
      order: order.nullable(),
      delay: delay.nullable(),
      stopTimeout: stopTimeout.nullable(),
    }),
    vserverState,
  ),
  'host-agent.address': hostCommand(
    'give a vserver one more address (in a further network: on an interface of its own, which comes with its next start), or take one away; later: interfaces that come then',
    z.strictObject({ name, add: wantedAddress.optional(), remove: z.union([ipv4, ipv6]).optional() }),
    z.object({ state: vserverState, later: z.array(z.string()) }),
  ),
  'host-agent.every': hostCommand(
    'do the same with every vserver that this host owns: start and restart in boot order, stop in the reverse, a few at a time; timeout (ms) of each stop; progress {name, state} or {name, code, error}',
    z.strictObject({ verb: everyVerb, timeout: z.int().min(0).max(600_000).optional() }),
    z.object({
      states: z.array(vserverState),
      failed: z.array(z.object({ name: z.string(), code: errorCode, message: z.string() })),
    }),
  ),
  'host-agent.logs': hostCommand(
    'the last lines of the console of a vserver, or what came since a place; wait (ms): and what comes meanwhile; progress {data: base64}',
    z.strictObject({
      name,
      lines: z.int().min(0).max(10_000).optional(),
      boot: z.boolean().optional(), // only since its last start
      from: consolePlace.optional(),
      wait: z.int().min(0).max(60_000).optional(),
    }),
    z.object({ next: consolePlace }),
  ),
} satisfies Record<string, CommandSpec>;
