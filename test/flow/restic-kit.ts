import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Settings, loadSettings } from '../../config/settings.ts';
import { loadRepositories } from '../../config/repositories.ts';
import { resticKind } from '../../services/repository/restic-kind.ts';
import { service } from '../../services/repository/main.ts';
import { createLog } from '../../shared/log.ts';
import type { Call, Context, Handlers } from '../../shared/service.ts';
import type { Args, CommandName, Data } from '../../shared/contract/commands.ts';

export const uuid = '5d2c7f0e-8f0a-4d0e-9d53-0f1f6f1b2a11';
const config = {
  version: 1,
  uuid,
  name: 'web1',
  network: 'blue',
  address: '10.60.10.5',
  prefix: 24,
  mac: '02:1a:2b:3c:4d:5e',
  enabled: true,
  created: 1,
};
export const taken = Date.UTC(2026, 10, 27, 3);
export const backup = {
  uuid,
  host: 'host1',
  epoch: 3,
  mode: 'hot' as const,
  kind: 'snapshot' as const,
  running: true,
  enabled: false,
  taken,
};
const call: Call = {
  id: 'c',
  issuer: 'test',
  signal: new AbortController().signal,
  progress: () => undefined,
};

/** A master's repository service in a directory of its own, with these lines of repositories.conf (@ is the directory). */
export function resticMaster(lines: string, at = mkdtempSync(join(tmpdir(), 'vs-restic-'))) {
  mkdirSync(join(at, 'etc'), { recursive: true });
  const write = (text: string) => writeFileSync(join(at, 'etc/repositories.conf'), text.replaceAll('@', at));
  write(lines);
  const settings: Settings = {
    ...loadSettings({ env: {} }),
    CONFIG_DIR: join(at, 'etc'),
    STATE_DIR: join(at, 'state'),
    BACKUP_DIR: join(at, 'state/backups'),
  };
  /** What is asked of others: the end of a saga. */
  const bus = { request: async () => ({ saga: {} }) };
  const log = createLog('silent', 'master');
  const context = { host: 'master', settings, log, version: '0', bus } as unknown as Context;
  const made = service(context);
  const all: Handlers = { ...made.handlers, ...made.inner };
  function ask<K extends CommandName>(name: K, args: Args<K>): Promise<Data<K>> {
    const handler = all[name];
    if (!handler) throw new Error(`there is no ${name}`);
    return handler(args, call);
  }
  return {
    at,
    settings,
    ask,
    conf: write,
    /** What the service does by itself at its start and each few hours. */
    async tidy(): Promise<void> {
      const kind = resticKind(context);
      for (const one of await loadRepositories(settings)) if (one.kind === 'restic') await kind.tidy(one);
    },
    /** A backup as a saga takes it; `change` is what comes from the host. */
    async take(saga: string, change: (root: string) => void, when = taken, repository = 'far') {
      const of = { repository, name: 'web1', saga };
      const begun = await ask('repository.open', { ...of, bytes: 1e6 });
      const { path } = await ask('repository.place', of);
      mkdirSync(join(path, 'rootfs'), { recursive: true });
      writeFileSync(join(path, 'vserver.json'), JSON.stringify(config));
      change(join(path, 'rootfs'));
      const sealed = await ask('repository.seal', { ...of, backup: { ...backup, taken: when } });
      return { begun, record: sealed.backup };
    },
    end: () => rmSync(at, { recursive: true, force: true }),
  };
}
