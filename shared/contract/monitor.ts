import { z } from 'zod';
import { type CommandSpec, hostCommand } from './command.ts';
import { metrics } from './host.ts';
import { bytes, empty, name, ts } from './names.ts';

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

/** The text of a monitor.conf, and its SHA-256; of one that does not exist: of nothing. */
const text = z.string().max(65_536, 'a monitor.conf has at most 65 536 characters');
const hash = z.string().regex(/^[0-9a-f]{64}$/, 'the hash that monitor.show answered');

/** When a check fires: `threshold` reached in `hits` polls in a row; and ends: `clear` reached in `clearHits` of them. */
const rule = z.object({
  check: z.string(), // the last level of its alert's topic
  key: z.string(), // as monitor.conf calls it
  line: z.int(),
  severity: z.enum(['warning', 'critical']),
  threshold: z.number(),
  clear: z.number(),
  hits: z.int(),
  clearHits: z.int(),
});
export const monitorCheck = rule.extend({
  firing: z.boolean(),
  since: ts.optional(),
  message: z.string().optional(),
});
export type MonitorCheck = z.infer<typeof monitorCheck>;
const applied = z.object({
  name,
  enabled: z.boolean(),
  running: z.boolean(),
  checks: z.int(), // so many does it have
  hash,
});
export type MonitorApplied = z.infer<typeof applied>;
const named = z.strictObject({ name });
const examined = z.object({
  name,
  checks: z.array(
    rule.extend({
      result: z.enum(['ok', 'bad', 'none', 'unknown']),
      value: z.number().optional(),
      message: z.string().optional(),
    }),
  ),
});

export const monitorCommands = {
  'monitor.show': hostCommand(
    'what is checked of a vserver, how, and what fires; with text: its monitor.conf itself in place of the checks. faults: by file, line and column; while there are some, the checks are those of before',
    z.strictObject({ name, text: z.literal(true).optional() }),
    z.object({
      name,
      enabled: z.boolean(),
      running: z.boolean(),
      pollSeconds: z.number(),
      mailto: z.array(z.string()),
      paused: z.object({ by: z.enum(['vserver', 'host']), until: ts.optional() }).optional(), // nothing is mended now
      hash,
      text: z.string().optional(),
      checks: z.array(monitorCheck),
      faults: z.array(z.string()),
    }),
  ),
  'monitor.check': hostCommand(
    'run every check of a vserver once, now, and tell what each found; no alert comes of it. none: it has no such limit; unknown: too little is known yet',
    named,
    examined,
  ),
  'monitor.examine': hostCommand(
    'run the checks of the text of a monitor.conf once on what runs under a name and is no vserver of this host (pid: of its init), such as a backup that is tried',
    z.strictObject({ name, pid: z.int().min(2), text }),
    examined,
  ),
  'monitor.save': hostCommand(
    'a new monitor.conf for a vserver, in force at once. hash: of the file that it replaces; refused with conflict when that has changed, with usage when the new one has a fault',
    z.strictObject({ name, text, hash }),
    applied,
  ),
  'monitor.start': hostCommand('watch a vserver, now and for good, by its monitor.conf', named, applied),
  'monitor.stop': hostCommand('do not watch a vserver, now and for good; its alerts end', named, applied),
  'monitor.pause': hostCommand(
    'mend nothing of a vserver (name), or of all that is on this host, until then; null: mend again. Answers whether it is paused now, by the times of MEND_PAUSE as well',
    z.strictObject({ name: name.optional(), until: ts.nullable() }),
    z.object({ name: name.optional(), until: ts.nullable(), paused: z.boolean() }),
  ),
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
