import { randomBytes } from 'node:crypto';
import { unseal } from '../../shared/seal.ts';
import type { Context, Handlers } from '../../shared/service.ts';
import { admitTls } from './admission.ts';
import { type Endpoint, openEndpoint } from './endpoint.ts';
import { ownIdentity } from './identity.ts';
import { SENDER, receivePackage, sendPackage } from './package.ts';
import { meter } from './progress.ts';
import type { openWork } from './work.ts';

/** So long (ms) an endpoint for a package waits for the master. */
const PACKAGE_TTL_MS = 60_000;

/** The commands by which a package of vs-tools comes to a host; it ends with its saga as all that is at work for one. */
export const packageHandlers = (
  { settings, host, log }: Pick<Context, 'settings' | 'host' | 'log'>,
  endpoints: Map<string, Set<Endpoint>>,
  work: ReturnType<typeof openWork>,
) =>
  ({
    'transfer.open-package': async ({ saga, package: info, from }) => {
      for (const one of endpoints.get(saga) ?? []) one.close();
      await work.end(saga);
      const identity = ownIdentity(settings.TLS_DIR, host);
      const secret = randomBytes(24).toString('base64url');
      const endpoint: Endpoint = await openEndpoint({
        address: settings.MANAGEMENT_ADDRESS,
        from,
        ttl: PACKAGE_TTL_MS,
        admit: (socket) => admitTls(socket, { identity, fromHost: SENDER, secret }),
        serve: (admitted) =>
          work.run(saga, (signal) =>
            receivePackage(admitted, settings.PACKAGE_DIR, info, {
              signal,
              onLog: (line) => log.warn({ saga }, line),
            }),
          ),
        onRefused: (other, reason) =>
          log.warn({ saga, from: other, reason }, 'a connection to a transfer endpoint was refused'),
        onClose: () => endpoints.get(saga)?.delete(endpoint),
      });
      endpoints.set(saga, (endpoints.get(saga) ?? new Set()).add(endpoint));
      return { address: settings.MANAGEMENT_ADDRESS, port: endpoint.port, secret };
    },
    'transfer.send-package': ({ saga, package: info, toHost, address, port, secret }, call) =>
      work.run(saga, async (signal) => {
        const identity = ownIdentity(settings.TLS_DIR, host);
        const way = { channel: 'tls' as const, toHost, address, port, identity, signal };
        const count = meter(info.bytes, (progress) => call.progress(progress));
        await sendPackage({ ...way, secret: unseal(settings, secret) }, settings.PACKAGE_DIR, info, count);
        const { bytes, ms } = count.end();
        return { bytes, ms };
      }),
  }) satisfies Handlers;
