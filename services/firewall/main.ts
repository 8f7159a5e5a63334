import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathsFor } from '../../shared/paths.ts';
import type { Context, Service } from '../../shared/service.ts';
import { compile, parseFirewall } from './compile.ts';

/** The firewall service: from a vserver's firewall.conf to the rules that its start hook loads. */
export function service(context: Context): Service {
  const paths = pathsFor(context.settings);
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
    },
  };
}
