import { copySettings, loadSettings, type Settings } from '../../config/settings.ts';
import { connectBus } from '../../shared/bus.ts';
import { type Handlers, createDispatcher } from '../../shared/dispatch.ts';
import { VsError } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import type { Context, Service } from '../../shared/service.ts';
import { service as hostAgent } from '../../services/host-agent/main.ts';
import { service as orchestrator } from '../../services/orchestrator/main.ts';
import { service as repository } from '../../services/repository/main.ts';
import { service as snapshot } from '../../services/snapshot/main.ts';
import { managementOf, theWorld } from './current.ts';
import { type Life, Killed, runAs } from './loop.ts';
import { service as network } from './parts/network.ts';
import { service as template } from './parts/template.ts';
import { service as transfer } from './parts/transfer.ts';

const ofHost = [hostAgent, network, snapshot, transfer];
const ofMaster = [orchestrator, template, repository];
const settings = new Map<string, Settings>();

/** Settings do not change in a simulation, and reading them is most of a start. */
function settingsOf(host: string): Settings {
  let own = settings.get(host);
  if (!own) {
    own = loadSettings({
      file: '/etc/vs-tools/vs-tools.conf',
      env: {
        VS_HOST: host === 'master' ? 'desk' : host,
        VS_MANAGEMENT_ADDRESS: managementOf(host),
        VS_BROKER_USER: host,
      },
    });
    settings.set(host, own);
  }
  return own;
}

function logOf(life: Life): Log {
  const world = theWorld();
  const quiet = () => undefined;
  const loud =
    (level: string) =>
    (facts: object | string, text = ''): void => {
      const { err, error } = (typeof facts === 'object' ? facts : {}) as { err?: Error; error?: string };
      if (err instanceof Killed || life.dead) return;
      const why = err?.message ?? error ?? '';
      world.say(
        life.node.name,
        `${level}: ${typeof facts === 'string' ? facts : text}${why ? ` (${why})` : ''}`,
      );
      const inside = err !== undefined && !(err instanceof VsError) && !(err as NodeJS.ErrnoException).code;
      if (inside) world.violate(`${life.node.name} has a fault inside: ${text}: ${err.stack ?? why}`);
    };
  const log = {
    debug: quiet,
    trace: quiet,
    info: quiet,
    warn: loud('warns'),
    error: loud('error'),
    fatal: loud('fatal'),
  };
  return log as unknown as Log;
}

/** One life of a process of vs-tools, as shared/service.ts runs it. */
async function serve(life: Life): Promise<void> {
  const host = life.node.name;
  const isMaster = host === 'master';
  const log = logOf(life);
  const handlers: Handlers = {};
  const inner: Handlers = {};
  const told = (error: unknown, name: string) => {
    if (!(error instanceof VsError) && !(error as NodeJS.ErrnoException).code)
      log.error({ err: error }, name);
  };
  const dispatcher = createDispatcher(handlers, told, inner);
  const bus = connectBus({ settings: settingsOf(host), target: host, dispatcher, log });
  const context: Context = { host, settings: settingsOf(host), bus, log, version: '0.1.0' };
  const services: Service[] = (isMaster ? ofMaster : ofHost).map((make) => make(context));
  for (const service of services) {
    Object.assign(handlers, service.handlers);
    Object.assign(inner, service.inner ?? {});
  }
  if (isMaster) {
    const copies = { ...context, settings: copySettings(context.settings) };
    const within = [snapshot, transfer].map((make): Service => make(copies));
    for (const service of within) Object.assign(inner, service.handlers);
    services.unshift(...within);
  }
  for (const service of services)
    await service
      .start?.()
      .catch((error: unknown) => log.error({ err: error }, `${service.name} did not start`));
}

export function begin(life: Life): void {
  runAs(life, () => {
    serve(life).catch((error: unknown) => {
      if (!life.dead) theWorld().violate(`a process on ${life.node.name} ended: ${(error as Error).stack}`);
    });
  });
}
