import { z } from 'zod';
import { type CommandSpec, hostCommand } from './command.ts';
import { ipv4, ipv6, name, staged } from './names.ts';

export const firewallCommands = {
  'firewall.render': hostCommand(
    'the nftables rules of a vserver from its firewall.conf; empty when it is not enabled. A fault refuses, with file and line',
    z.strictObject({ name, staged: staged.optional() }),
    z.object({ rules: z.string() }),
  ),
  'firewall.open': hostCommand(
    'let a vserver that runs out to some addresses and TCP ports, and ask some resolvers, for so many seconds: the kernel closes that by itself. open false: its firewall is not enabled, all is open',
    z.strictObject({
      name,
      to: z
        .array(z.strictObject({ address: z.union([ipv4, ipv6]), port: z.int().min(1).max(65_535) }))
        .max(2000),
      resolvers: z.array(z.union([ipv4, ipv6])).max(20),
      seconds: z.int().min(1).max(3600),
    }),
    z.object({ open: z.boolean() }),
  ),
  'firewall.close': hostCommand('end what firewall.open opened', z.strictObject({ name })),
} satisfies Record<string, CommandSpec>;
