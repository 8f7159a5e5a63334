import { readFileSync } from 'node:fs';
import { type Settings, copySettings } from '../config/settings.ts';
import { type Bus, connectBus } from './bus.ts';
import { DATA_VERSION, prepareData } from './data-version.ts';
import { type Dispatcher, type Handlers, createDispatcher } from './dispatch.ts';
import { VsError } from './errors.ts';
import { openLocal } from './local/serve.ts';
import { type Log, createLog } from './log.ts';
import type { Notify } from './notify.ts';
import { untilEnded } from './until-ended.ts';

export type { Call, Handlers } from './dispatch.ts';

/** What a service is given when it is made. */
export interface Context {
  /** The target this process answers for: a host's name, or `master`. */
  host: string;
  settings: Settings;
  bus: Bus;
  log: Log;
  version: string;
}
export interface Service {
  name: string;
  handlers: Handlers;
  /** What this process alone may ask of itself. */
  inner?: Handlers;
  /** What others rely on when they start: all services of a process are prepared before the first one starts. */
  prepare?(): Promise<void>;
  /** Begins its work; must not wait for the broker (invariant 3). */
  start?(): Promise<void>;
  stop?(): Promise<void>;
}

/** Which services there are, where they run, and their modules, loaded only when asked for. */
const modules: Record<
  string,
  {
    scope: 'host' | 'master';
    load: () => Promise<{ service: (context: Context) => Service }>;
    /** Services that run with it for the master's copies, and hear nobody else (docs/copying.md). */
    inner?: string[];
  }
> = {
  'host-agent': { scope: 'host', load: () => import('../services/host-agent/main.ts') },
  network: { scope: 'host', load: () => import('../services/network/main.ts') },
  firewall: { scope: 'host', load: () => import('../services/firewall/main.ts') },
  monitor: { scope: 'host', load: () => import('../services/monitor/main.ts') },
  snapshot: { scope: 'host', load: () => import('../services/snapshot/main.ts') },
  transfer: { scope: 'host', load: () => import('../services/transfer/main.ts') },
  orchestrator: {
    scope: 'master',
    load: () => import('../services/orchestrator/main.ts'),
    inner: ['snapshot', 'transfer'],
  },
  'repository-host': { scope: 'host', load: () => import('../services/repository/host.ts') },
  repository: { scope: 'master', load: () => import('../services/repository/main.ts') },
  networks: { scope: 'master', load: () => import('../services/networks/main.ts') },
  template: { scope: 'master', load: () => import('../services/template/main.ts') },
  authority: { scope: 'master', load: () => import('../services/authority/main.ts') },
  exporter: { scope: 'master', load: () => import('../services/exporter/main.ts') },
  packages: { scope: 'host', load: () => import('../services/packages/main.ts') },
  doctor: { scope: 'host', load: () => import('../services/doctor/main.ts') },
  'master-doctor': { scope: 'master', load: () => import('../services/doctor/master.ts') },
  'backup-scheduler': {
    scope: 'master',
    load: () => import('../services/backup-scheduler/main.ts'),
    inner: ['master-archive'],
  },
  'master-archive': { scope: 'master', load: () => import('../services/master-archive/main.ts') },
  discovery: { scope: 'master', load: () => import('../services/discovery/main.ts') },
  history: { scope: 'master', load: () => import('../services/history/main.ts') },
  alerter: { scope: 'master', load: () => import('../services/alerter/main.ts') },
};
export const serviceNames = Object.keys(modules);

export const version = (): string =>
  (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string })
    .version;

function scopeOf(names: string[]): 'host' | 'master' {
  const scopes = new Set<'host' | 'master'>();
  for (const name of names) {
    const module = modules[name];
    if (!module)
      throw new VsError(
        'usage',
        `there is no service ${name}; there are ${serviceNames.join(', ')} and broker`,
      );
    scopes.add(module.scope);
  }
  const [scope, other] = [...scopes];
  if (!scope || other)
    throw new VsError('usage', 'name services of a host, or services of the master, not both in one process');
  return scope;
}

/** The handler of a command whose service could not start. */
const refuse = (message: string) => (): Promise<never> => Promise.reject(new VsError('unavailable', message));

/** The agent's own socket, for root of this host. A host without it works all the same. */
function openSocket({ settings, bus, log, version: of }: Context, dispatcher: Dispatcher) {
  const path = settings.AGENT_SOCKET;
  return openLocal({ path, dispatcher, bus, version: of, log }).then(
    (opened) => {
      bus.alert('host-agent', 'socket', null);
      return opened;
    },
    (error: unknown) => {
      const message = `the socket ${path} of the agent could not be opened: ${error instanceof Error ? error.message : String(error)}`;
      log.error(message);
      bus.alert('host-agent', 'socket', { ts: Date.now(), severity: 'warning', message });
      return undefined;
    },
  );
}

/** STATE_DIR in the version of this vs-tools. What only could not be written down keeps nobody from the work: a disk may be full. */
export async function openData(settings: Settings, log: Log): Promise<void> {
  try {
    const done = await prepareData(settings, version());
    if (done) log.info(done);
  } catch (error) {
    if (error instanceof VsError && error.code === 'refused') throw error;
    if (DATA_VERSION > 1) throw error;
    log.warn({ err: error }, 'the version of the data could not be written down');
  }
}

/** Runs services in this process until SIGTERM or SIGINT. Starts them also while the broker is away. `notify`: who started it. */
export async function runServices(names: string[], settings: Settings, notify?: Notify): Promise<void> {
  const host = scopeOf(names) === 'master' ? 'master' : settings.HOST;
  const log = createLog(settings.LOG_LEVEL, host);
  await openData(settings, log);
  const handlers: Handlers = {};
  const inner: Handlers = {};
  const dispatcher = createDispatcher(
    handlers,
    (error, name) => {
      const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : undefined;
      if (error instanceof VsError) log.warn({ command: name, code: error.code, cause }, error.message);
      else log.error({ command: name, err: error }, 'a command failed inside vs-tools');
    },
    inner,
  );
  const bus = connectBus({
    settings,
    target: host,
    dispatcher,
    log,
    ...(names[0] ? { keep: names[0] } : {}),
  });
  const context: Context = { host, settings, bus, log, version: version() };
  const services: Service[] = [];
  for (const name of names.flatMap((one) => modules[one]?.inner ?? [])) {
    const module = await modules[name]?.load();
    const service = module?.service({ ...context, settings: copySettings(settings) });
    if (!service) continue;
    services.push(service);
    Object.assign(inner, service.handlers);
  }
  for (const name of names) {
    const service = (await modules[name]?.load())?.service(context);
    if (!service) continue;
    services.push(service);
    Object.assign(handlers, service.handlers);
    Object.assign(inner, service.inner ?? {});
  }
  const stopped = untilEnded();
  for (const service of services)
    await service
      .prepare?.()
      .catch((error: unknown) => log.error({ service: service.name, err: error }, 'prepare'));
  for (const service of services) {
    await service.start?.().catch((error: unknown) => {
      log.error({ service: service.name, err: error }, `service ${service.name} did not start`);
      const why = error instanceof Error ? error.message : String(error);
      const message = `the service ${service.name} of ${host} did not start: ${why}. Mend that, then restart it`;
      bus.alert(service.name, 'start', { ts: Date.now(), severity: 'critical', message });
      // who asks hears why, instead of nothing
      const refusing = Object.keys(service.handlers).map((command) => [command, refuse(message)] as const);
      const own = refusing.filter(([command]) => Object.hasOwn(handlers, command));
      Object.assign(handlers, Object.fromEntries(own));
      if (own.length === 0) Object.assign(inner, Object.fromEntries(refusing));
    });
  }
  const local = names.includes('host-agent') ? await openSocket(context, dispatcher) : undefined;
  log.info({ services: names }, 'running');
  notify?.ready(names.join(' '));
  await stopped;
  notify?.stopping();
  dispatcher.abortAll();
  for (const service of services.reverse())
    await service
      .stop?.()
      .catch((error: unknown) => log.error({ service: service.name, err: error }, 'stop'));
  await local?.close();
  await bus.close();
  process.exit(0);
}
