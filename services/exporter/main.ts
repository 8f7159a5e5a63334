import { once } from 'node:events';
import type { Server } from 'node:http';
import type { Server as TlsServer } from 'node:tls';
import type { Context, Service } from '../../shared/service.ts';
import { addressOf, certificateOf, tokenOf } from './listen.ts';
import { render } from './render.ts';
import { createPage } from './serve.ts';
import { openView } from './view.ts';

const AGAIN_MS = 30_000;

/** The exporter: what the bus says of the pool, as a page for Prometheus. Without METRICS_LISTEN it does nothing. */
export function service(context: Context): Service {
  const { settings, log } = context;
  let view: Awaited<ReturnType<typeof openView>> | undefined;
  let server: Server | undefined;
  let timer: NodeJS.Timeout | undefined;
  let said = '';
  let saidAt = 0;

  /** An address that is not there yet, or in use, may come later. */
  async function listen(page: Server, where: { host: string; port: number }): Promise<void> {
    page.listen(where);
    await once(page, 'listening').then(
      () => log.info({ address: page.address() }, 'the metrics are at /metrics'),
      (error: unknown) => {
        log.error(
          `the metrics cannot be served on ${settings.METRICS_LISTEN} (METRICS_LISTEN): ${(error as Error).message}; ` +
            `tried again in ${AGAIN_MS / 1000} s`,
        );
        setTimeout(() => void (server === page && listen(page, where)), AGAIN_MS).unref();
      },
    );
  }
  /** Anybody can ask, so the same fault is not logged more than once a minute. */
  function onFault(error: unknown): void {
    if (performance.now() - saidAt < 60_000 && said === String(error)) return;
    [said, saidAt] = [String(error), performance.now()];
    log.error({ error: said }, 'the metrics cannot be shown');
  }
  /** A renewed certificate counts for new connections; one that cannot be used changes nothing. */
  function renew(page: Server): void {
    try {
      const files = certificateOf(settings);
      if (files) (page as unknown as TlsServer).setSecureContext({ ...files, minVersion: 'TLSv1.2' });
    } catch (error) {
      log.error({ error: String(error) }, 'the certificate of the metrics page is not taken');
    }
  }

  return {
    name: 'exporter',
    handlers: {},
    async start() {
      if (!settings.METRICS_LISTEN) return;
      const where = addressOf(settings);
      const tokenFile = settings.METRICS_TOKEN_FILE;
      const tls = certificateOf(settings);
      if (tokenFile) tokenOf(tokenFile);
      const opened = (view = await openView(context, settings.METRICS_KEEP_SECONDS * 1000));
      const page = (server = createPage({
        render: () => render(opened.now()),
        ...(tokenFile ? { token: () => tokenOf(tokenFile) } : {}),
        ...(tls ? { tls } : {}),
        onFault,
      }));
      if (tls) timer = setInterval(() => renew(page), settings.BROKER_TLS_RELOAD_SECONDS * 1000).unref();
      await listen(page, where);
    },
    async stop() {
      clearInterval(timer);
      const page = server;
      server = undefined;
      page?.close();
      page?.closeAllConnections();
      await view?.close();
    },
  };
}
