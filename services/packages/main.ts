import type { Context, Service } from '../../shared/service.ts';
import { createTurns } from '../../shared/turns.ts';
import { openNightly } from './nightly.ts';
import { runPackages } from './run.ts';

/** What changes packages, after which what can be upgraded is counted anew. */
const changes = new Set(['update', 'upgrade', 'install', 'remove']);

/** The packages service: asks the package managers inside the vservers of this host. */
export function service(context: Context): Service {
  const inTurn = createTurns(); // one at a time in each vserver: the end of one would close the firewall of another
  const nightly = openNightly(context, inTurn);
  return {
    name: 'packages',
    handlers: {
      'packages.run': (args, call) =>
        inTurn(args.name, async () => {
          const done = await runPackages(context, args, call);
          if (changes.has(args.action))
            await nightly
              .count(args.name)
              .catch((error: unknown) =>
                context.log.warn({ vserver: args.name, error: String(error) }, 'upgrades were not counted'),
              );
          return done;
        }),
      'packages.check': ({ name }, call) => nightly.look(name, call.signal),
    },
    start: () => nightly.start(),
    async stop() {
      nightly.stop();
    },
  };
}
