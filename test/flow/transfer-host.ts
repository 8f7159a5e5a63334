import { join } from 'node:path';
import { loadSettings } from '../../config/settings.ts';
import { service } from '../../services/transfer/main.ts';
import { createLog } from '../../shared/log.ts';
import type { Context } from '../../shared/service.ts';

/** A host with a transfer service of its own, below a directory; `life` begins one that knows nothing of those before. */
export function transferHost(directory: string, name: string) {
  const base = join(directory, name);
  const settings = loadSettings({
    file: '/nonexistent',
    env: {
      VS_HOST: name,
      VS_VSERVER_DIR: join(base, 'vservers'),
      VS_RUN_DIR: join(base, 'run'),
      VS_STATE_DIR: join(base, 'state'),
      VS_MANAGEMENT_ADDRESS: '127.0.0.1',
    },
  });
  /** Why its log says that somebody was refused. */
  const refused: string[] = [];
  const log = createLog('fatal', name);
  log.warn = ((facts: { reason?: string }) => void refused.push(facts.reason ?? '')) as typeof log.warn;
  const life = () => service({ host: name, settings, log, version: '0' } as Context); // it asks nothing of the bus
  return { name, settings, refused, tls: settings.TLS_DIR, life };
}
