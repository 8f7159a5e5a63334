import { readFile } from 'node:fs/promises';
import { pathsFor } from '../../shared/paths.ts';
import { VsError } from '../../shared/errors.ts';
import type { Context, Service } from '../../shared/service.ts';
import { createTurns } from '../../shared/turns.ts';
import { createFirewalls } from './firewalls.ts';
import { kernelLog } from './kernel-log.ts';
import { close, open, remember } from './opening.ts';
import { openTotals } from './totals.ts';

/** After a start of the agent the host's list of vservers that run may take so long to be there (ms). */
const SOON_MS = 1000;

/** The firewall service: the rules of vservers, from their files into their namespaces, and what they count. */
export function service(context: Context): Service {
  const { settings, bus, host, log } = context;
  const inTurn = createTurns(); // the rules of a vserver change one at a time
  const opened = remember();
  const firewalls = createFirewalls(context, opened.statements);
  const running = async () => (await bus.request(host, 'host-agent.running', {})).running;
  const totals = openTotals(pathsFor(settings), running, log);
  let timer: NodeJS.Timeout | undefined;
  let first: NodeJS.Timeout | undefined;

  /** The init of a vserver that runs, whose namespace has the rules. */
  async function initOf(name: string): Promise<number | undefined> {
    const { state } = await bus.request(host, 'host-agent.show', { name });
    return state.pid;
  }
  /** The same work on each vserver that runs; what fails for one leaves its rules as they are. */
  async function onEach(what: string, work: (name: string, pid: number) => Promise<void>): Promise<void> {
    const all = await running();
    firewalls.forget(new Set(all.map(({ name }) => name)));
    for (const { name, pid } of all)
      await inTurn(name, () => work(name, pid)).catch((error: unknown) =>
        log.warn({ vserver: name, error: String(error) }, `firewall: ${what}; its rules stay as they are`),
      );
  }
  const onEachSoon = (what: string, work: (name: string, pid: number) => Promise<void>) =>
    void onEach(what, work).catch((error: unknown) =>
      log.warn({ error: String(error) }, `firewall: ${what}`),
    );

  return {
    name: 'firewall',
    handlers: {
      'firewall.render': async (args) => ({ rules: await firewalls.render(args) }),
      'firewall.show': (args) => firewalls.show(args),
      'firewall.check': (args) => firewalls.check(args),
      'firewall.save': (args) => inTurn(args.name, () => firewalls.save(args)),
      'firewall.up': ({ name }) => inTurn(name, () => firewalls.up(name)),
      'firewall.down': ({ name }) => inTurn(name, () => firewalls.down(name)),
      'firewall.reload': ({ name }) => inTurn(name, () => firewalls.reload(name)),
      'firewall.test': (args) => firewalls.test(args),
      'firewall.log': async ({ name, lines }) => {
        const asked = await firewalls.logs(name);
        const all = await readFile('/proc/sys/net/netfilter/nf_log_all_netns', 'utf8').catch(() => undefined);
        const missing = !asked
          ? `the firewall.conf of ${name} has no line "log"`
          : all?.trim() === '1'
            ? undefined
            : `the kernel of ${host} logs no packets of vservers: net.netfilter.nf_log_all_netns is not 1`;
        return { lines: await kernelLog(name, lines), ...(missing ? { missing } : {}) };
      },
      'firewall.counters': async () => ({ vservers: await totals() }),
      'firewall.open': (args) =>
        inTurn(args.name, async () => {
          const pid = await initOf(args.name);
          if (pid === undefined) throw new VsError('refused', `${args.name} does not run`);
          const found = await open(pid, args);
          if (found) opened.add(args);
          return { open: found };
        }),
      'firewall.close': ({ name }) =>
        inTurn(name, async () => {
          opened.drop(name);
          const pid = await initOf(name);
          if (pid !== undefined) await close(pid);
          return {};
        }),
    },
    async start() {
      first = setTimeout(() => onEachSoon('after the start of the agent', firewalls.heal), SOON_MS);
      timer = setInterval(
        () => onEachSoon('names', firewalls.refresh),
        settings.FIREWALL_RESOLVE_SECONDS * 1000,
      );
    },
    async stop() {
      clearTimeout(first);
      clearInterval(timer);
    },
  };
}
