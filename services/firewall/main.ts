import { pathsFor } from '../../shared/paths.ts';
import { VsError } from '../../shared/errors.ts';
import type { Context, Service } from '../../shared/service.ts';
import { createTurns } from '../../shared/turns.ts';
import { createAlerts } from './alerts.ts';
import { openBook } from './book.ts';
import { createChanges } from './changes.ts';
import { kernelLog, whyNoLog } from './kernel-log.ts';
import { createLooks } from './looks.ts';
import { createMaker } from './make.ts';
import { close, open, remember } from './opening.ts';
import { openRest } from './rest.ts';
import { openTotals } from './totals.ts';

/** After a start of the agent the host's list of vservers that run may take so long to be there (ms). */
const SOON_MS = 1000;

type Work = (name: string, pid: number) => Promise<void>;
type Running = { name: string; pid: number }[];

/** The firewall service: the rules of vservers, from their files into their namespaces, and what they count. */
export function service(context: Context): Service {
  const { settings, bus, host, log } = context;
  const inTurn = createTurns(); // the rules of a vserver change one at a time
  const opened = remember();
  const maker = createMaker(context);
  const alerts = createAlerts(context);
  const rest = openRest(context);
  const paths = pathsFor(settings);
  const book = openBook(context, paths, rest);
  const looks = createLooks(context, maker, book);
  const changes = createChanges(context, maker, alerts, { open: opened.statements, rest, book });
  const running = async () => (await bus.request(host, 'host-agent.running', {})).running;
  const totals = openTotals(paths, running, log, book);
  let timer: NodeJS.Timeout | undefined;
  let first: NodeJS.Timeout | undefined;
  let busy = false;

  /** The same work on each vserver that runs; what fails for one leaves its rules as they are. */
  async function onEach(what: string, work: Work): Promise<void> {
    if (busy) throw new VsError('unavailable', 'the pass before still waits for names', { retryable: true });
    busy = true;
    try {
      await onAll(await running(), what, work);
    } finally {
      busy = false;
    }
  }
  async function onAll(all: Running, what: string, work: Work): Promise<void> {
    alerts.forget(new Set(all.map(({ name }) => name)));
    for (const { name, pid } of all)
      await inTurn(name, () => work(name, pid)).then(
        () => alerts.fault(name),
        (error: unknown) => {
          if (error instanceof VsError && error.code === 'usage') alerts.fault(name, error.message);
          log.warn({ vserver: name, error: String(error) }, `firewall: ${what}; its rules stay as they are`);
        },
      );
  }
  const failed = (error: unknown) => log.warn({ error: String(error) }, 'firewalls of vservers');
  /** Until the host could say which vservers run. */
  function healSoon(ms: number): void {
    first = setTimeout(() => {
      onEach('after the start of the agent', changes.heal).catch((error: unknown) => {
        failed(error);
        healSoon(10 * SOON_MS);
      });
    }, ms);
  }

  return {
    name: 'firewall',
    handlers: {
      'firewall.render': async (args) => ({ rules: await changes.render(args) }),
      'firewall.show': (args) => looks.show(args),
      'firewall.check': (args) => looks.check(args),
      'firewall.save': (args) => inTurn(args.name, () => changes.save(args)),
      'firewall.up': ({ name }) => inTurn(name, () => changes.up(name)),
      'firewall.down': ({ name }) => inTurn(name, () => changes.down(name)),
      'firewall.reload': ({ name }) => inTurn(name, () => changes.reload(name)),
      'firewall.test': (args) => looks.test(args),
      'firewall.log': async ({ name, lines }) => {
        const missing = await whyNoLog(name, host, await looks.logs(name));
        return { lines: await kernelLog(name, lines), ...(missing ? { missing } : {}) };
      },
      'firewall.loaded': async () => ({ vservers: await looks.loaded(await running()) }),
      'firewall.counters': async () => ({ vservers: await totals() }),
      'firewall.open': (args) =>
        inTurn(args.name, async () => {
          const pid = await looks.initOf(args.name);
          if (pid === undefined) throw new VsError('refused', `${args.name} does not run`);
          const found = await open(pid, args);
          if (found) opened.add(args);
          return { open: found };
        }),
      'firewall.close': ({ name }) =>
        inTurn(name, async () => {
          opened.drop(name);
          const pid = await looks.initOf(name);
          if (pid !== undefined) await close(pid);
          return {};
        }),
    },
    async start() {
      healSoon(SOON_MS);
      timer = setInterval(
        () => void onEach('its names', changes.refresh).catch(failed),
        settings.FIREWALL_RESOLVE_SECONDS * 1000,
      );
    },
    async stop() {
      clearTimeout(first);
      clearInterval(timer);
      await book.close();
    },
  };
}
