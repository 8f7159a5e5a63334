import type { Metrics } from '../../shared/contract/host.ts';
import type { RunningVserver } from '../../shared/contract/vserver.ts';
import type { Context, Handlers } from '../../shared/service.ts';
import { createTurns } from '../../shared/turns.ts';
import { createFiles } from './checks/files.ts';
import { HOST_ID, type HostWatch, createHostWatch } from './checks/host-watch.ts';
import { openKeep } from './checks/keep.ts';
import { openProbe } from './checks/probe.ts';
import { createShow } from './checks/show.ts';
import { createWatch } from './checks/watch.ts';
import { createMender } from './mend/mender.ts';
import { createPresser } from './mend/presser.ts';

const LOOK_MS = 1000;

/** The checks of this host and its vservers, what is done about them, and the commands that go with them. */
export function openChecks(
  context: Context,
  figures: {
    running: () => Promise<RunningVserver[]>;
    runningOne: (name: string) => Promise<RunningVserver>;
    /** Newer ones than `before`. */
    of: (vserver: RunningVserver, before: Metrics | undefined) => Promise<Metrics | undefined>;
    ofHost: () => Metrics | undefined;
  },
) {
  const { log } = context;
  const inTurn = createTurns();
  const keep = openKeep(context);
  const probe = openProbe();
  let ofHost: HostWatch | undefined;
  const hostPause = () => ofHost?.subject.config.pause;
  const watch = createWatch(context, keep, probe, figures.of, createMender(context, hostPause));
  const files = createFiles(context, watch, hostPause);
  const { show, check, examine } = createShow({
    context,
    watch,
    files,
    probe,
    runningOne: figures.runningOne,
    figuresOf: figures.of,
    hostPause,
  });
  let timer: NodeJS.Timeout | undefined;
  let busy = false;

  async function look(): Promise<void> {
    ofHost?.look(figures.ofHost());
    await watch.look(await figures.running());
  }
  const handlers = {
    'monitor.show': show,
    'monitor.check': check,
    'monitor.examine': examine,
    'monitor.save': (args) => inTurn(args.name, () => files.save(args)),
    'monitor.start': ({ name }) => inTurn(name, () => files.start(name)),
    'monitor.pause': (args) => inTurn(args.name ?? HOST_ID, () => files.pause(args)),
    'monitor.stop': ({ name }) => inTurn(name, () => files.stop(name)),
  } satisfies Handlers;
  return {
    handlers,
    async start(): Promise<void> {
      const names = await keep.begin();
      await watch.begin(names.filter((name) => name !== HOST_ID));
      ofHost = await createHostWatch(context, keep, createPresser(context));
      timer = setInterval(() => {
        if (busy) return;
        busy = true;
        void look()
          .catch((error: unknown) => log.warn({ error: String(error) }, 'checks'))
          .finally(() => (busy = false));
      }, LOOK_MS);
    },
    async stop(): Promise<void> {
      clearInterval(timer);
      probe.close();
      await keep.flush();
    },
  };
}
