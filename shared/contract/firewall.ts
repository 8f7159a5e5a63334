import { z } from 'zod';
import { type CommandSpec, hostCommand } from './command.ts';
import { name, staged } from './names.ts';

export const firewallCommands = {
  'firewall.render': hostCommand(
    'the nftables rules of a vserver from its firewall.conf; empty when it is not enabled. A fault refuses, with file and line',
    z.strictObject({ name, staged: staged.optional() }),
    z.object({ rules: z.string() }),
  ),
} satisfies Record<string, CommandSpec>;
