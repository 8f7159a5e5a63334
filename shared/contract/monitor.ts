import { z } from 'zod';
import { type CommandSpec, hostCommand } from './command.ts';
import { bytes, empty, name } from './names.ts';

export const monitorCommands = {
  'monitor.memory': hostCommand(
    'what each vserver that runs uses of memory at this moment',
    empty,
    z.object({ vservers: z.array(z.object({ name, mem_bytes: bytes })) }),
  ),
} satisfies Record<string, CommandSpec>;
