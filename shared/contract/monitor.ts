import { z } from 'zod';
import { type CommandSpec, hostCommand } from './command.ts';
import { metrics } from './host.ts';
import { bytes, empty, name } from './names.ts';

/** A socket that waits for connections or messages; `process` and `pid` (as the host sees it) of one that has it open. */
export const listeningSocket = z.object({
  family: z.enum(['tcp', 'tcp6', 'udp', 'udp6', 'unix']),
  address: z.string(), // of unix: its path, @ for an abstract one
  port: z.int().optional(),
  process: z.string().optional(),
  pid: z.int().optional(),
});
export type ListeningSocket = z.infer<typeof listeningSocket>;

const flow = z.object({ bytes, packets: z.int(), errors: z.int(), drops: z.int() });

export const monitorCommands = {
  'monitor.memory': hostCommand(
    'what each vserver that runs uses of memory at this moment',
    empty,
    z.object({ vservers: z.array(z.object({ name, mem_bytes: bytes })) }),
  ),
  'monitor.stats': hostCommand(
    'every figure of this host, or of a vserver (name), at this moment; with what is no figure, each interface, and what each core did for it (seconds; only cgroup v1 counts that)',
    z.strictObject({ name: name.optional() }),
    z.object({
      figures: metrics,
      facts: z.record(z.string(), z.string()),
      interfaces: z.array(z.object({ name: z.string(), rx: flow, tx: flow })),
      cores: z.array(z.number()),
    }),
  ),
  'monitor.sockets': hostCommand(
    'which sockets of a vserver listen, and for which process; at most 500, more: how many are left out',
    z.strictObject({ name }),
    z.object({ sockets: z.array(listeningSocket), more: z.int() }),
  ),
} satisfies Record<string, CommandSpec>;
