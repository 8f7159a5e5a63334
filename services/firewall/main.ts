import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathsFor } from '../../shared/paths.ts';
import { VsError } from '../../shared/errors.ts';
import type { Context, Service } from '../../shared/service.ts';
import { compile } from './compile.ts';
import { parseFirewall } from './parse.ts';
import { close, open } from './opening.ts';

/** The firewall service: from a vserver's firewall.conf to the rules that its start hook loads. */
export function service(context: Context): Service {
  const paths = pathsFor(context.settings);
  /** The init of a vserver that runs, whose namespace has the rules. */
  async function initOf(name: string): Promise<number | undefined> {
    const { state } = await context.bus.request(context.host, 'host-agent.show', { name });
    return state.pid;
  }
  return {
    name: 'firewall',
    handlers: {
      'firewall.render': async (args) => {
        const file = join(
          args.staged
            ? paths.staged(args.name, args.staged.saga, args.staged.label)
            : paths.vserver(args.name),
          'firewall.conf',
        );
        const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
          if (error.code === 'ENOENT') return '';
          throw error;
        });
        return { rules: compile(parseFirewall(text, file)) };
      },
      'firewall.open': async (args) => {
        const pid = await initOf(args.name);
        if (pid === undefined) throw new VsError('refused', `${args.name} does not run`);
        return { open: await open(pid, args) };
      },
      'firewall.close': async ({ name }) => {
        const pid = await initOf(name);
        if (pid !== undefined) await close(pid);
        return {};
      },
    },
  };
}
