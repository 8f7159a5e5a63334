import { z } from 'zod';
import { type CommandSpec, hostCommand, masterCommand } from './command.ts';
import { empty, hostName, id, ipv4, ipv6, ts } from './names.ts';

/** What one look found: `todo` says what a person does about it; `fixed` says what was done. */
export const finding = z.object({
  check: z.string(),
  subject: z.string().optional(),
  result: z.enum(['ok', 'warn', 'fail']),
  message: z.string(),
  todo: z.string().optional(),
  fixed: z.string().optional(),
});
export type Finding = z.infer<typeof finding>;

/** Findings, and the time of day of who looked (ms), by which clocks are compared. */
const findings = z.object({ findings: z.array(finding), ts });

/** A port of another host at which something listens: can this host reach it? */
const peer = z.strictObject({
  host: hostName,
  address: z.union([ipv4, ipv6]),
  port: z.int().min(1).max(65_535),
});

export const doctorCommands = {
  'doctor.look': hostCommand(
    'is this host fit: kernel, tools, storage, networks, certificate, ways to other hosts, what is left over of sagas that do not run (sagas: those that do, all of them, and as of when by the clock of the master). fix: mends what is safe',
    z.strictObject({
      fix: z.boolean().optional(),
      sagas: z.strictObject({ running: z.array(id).max(10_000), asOf: ts }).optional(),
      peers: z.array(peer).max(1000).optional(),
    }),
    findings,
  ),
  'doctor.listen': hostCommand(
    'listen at the management address for some seconds, so that other hosts can try to come there',
    z.strictObject({ seconds: z.int().min(1).max(60) }),
    z.object({ address: z.string(), port: z.int() }),
  ),
  'master-doctor.look': masterCommand(
    'is the master fit: its files, disk, certificate, hosts that are away or of another version, sagas that are stuck or cannot be read',
    empty,
    findings,
  ),
} satisfies Record<string, CommandSpec>;
