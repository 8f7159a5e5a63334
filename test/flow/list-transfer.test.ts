import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { loadSettings } from '../../config/settings.ts';
import { service } from '../../services/transfer/main.ts';
import type { PassKind } from '../../shared/contract/transfer.ts';
import type { Call } from '../../shared/dispatch.ts';
import { createLog } from '../../shared/log.ts';
import { seal, sealKey } from '../../shared/seal.ts';
import type { Context } from '../../shared/service.ts';
import { dice, kinds, mutate, oracle } from './tree-kit.ts';

const directory = mkdtempSync(join(tmpdir(), 'vslab-list-'));
afterAll(() => rmSync(directory, { recursive: true }));
const root = process.getuid?.() === 0;
if (!root) console.log('skipped: copies of trees are tried as root');
const call: Call = { id: 'a', issuer: 'test', signal: new AbortController().signal, progress: () => undefined };

function host(name: string) {
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
  const log = createLog('fatal', name);
  const life = () => service({ host: name, settings, log, version: '0' } as Context); // it asks nothing of the bus
  return { name, settings, life };
}
const [host1, host2] = [host('host1'), host('host2')];

/** A vserver on host1 and its staging on host2, and passes between them as the orchestrator would ask for them. */
function copying(saga: string) {
  const tree = join(host1.settings.VSERVER_DIR, saga);
  const copy = join(host2.settings.VSERVER_DIR, '.staging', `${saga}.${saga}`, 'tree');
  for (const one of [tree, copy]) mkdirSync(one, { recursive: true });
  const both = { name: saga, saga };
  let [source, target] = [host1.life(), host2.life()];
  let since: number | undefined;
  return {
    tree,
    copy,
    restart: () => void (source = host1.life()),
    async pass(kind: PassKind, final = false, more: object = {}) {
      const opened = await target.handlers['transfer.open']?.(
        {
          ...{ ...both, copy: 'rsync', channel: 'plain', fromHost: 'host1', from: '127.0.0.1', ttl: 60_000 },
          kind: since === undefined ? kind : 'list',
        },
        call,
      );
      if (!opened) throw new Error('no endpoint');
      const sent = await source.handlers['transfer.send']?.(
        {
          ...{ ...both, copy: 'rsync', channel: 'plain', toHost: 'host2', address: '127.0.0.1', final, kind },
          port: opened.port,
          secret: seal(opened.secret, sealKey(host1.settings)),
          ...(since === undefined ? {} : { since }),
          ...more,
        },
        call,
      );
      if (!sent) throw new Error('nothing was sent');
      since = sent.began;
      if (!final) await target.handlers['transfer.flush']?.(both, call);
      return sent;
    },
    verify: (of: { treeBytes?: number | undefined; treeFiles?: number | undefined }) =>
      target.handlers['transfer.verify']?.(
        { ...both, copy: 'rsync', treeBytes: of.treeBytes, treeFiles: of.treeFiles },
        call,
      ),
    async close() {
      for (const one of [source, target]) await one.handlers['transfer.close']?.(both, call);
      for (const one of [tree, copy]) rmSync(one, { recursive: true });
    },
  };
}

const seeds = Number(process.env['VS_SEEDS'] ?? 8);
const first = Number(process.env['VS_SEED'] ?? Date.now() % 1e6);
describe.skipIf(!root)('passes by list', () => {
  test.each(Array.from({ length: seeds }, (_, number) => first + number))(
    'make equal trees, whatever happens between them: seed %i',
    { timeout: 60_000 },
    async (seed) => {
      const random = dice(seed);
      const one = copying(`s${seed}`);
      mutate(one.tree, random, 120, ['mkdir', 'create', 'create', ...kinds]);
      await one.pass('stream');
      expect(oracle(one.copy).filter((line) => !/^\["[^"]*","140/.test(line)), `VS_SEED=${seed}, first pass`).toEqual(
        oracle(one.tree).filter((line) => !/^\["[^"]*","140/.test(line)),
      );
      for (let count = 1; count < 3; count++) {
        mutate(one.tree, random, 25);
        await one.pass('list');
        expect(oracle(one.copy), `VS_SEED=${seed}, pass ${count}`).toEqual(oracle(one.tree));
      }
      mutate(one.tree, random, 25);
      const last = await one.pass('list', true);
      expect(oracle(one.copy), `VS_SEED=${seed}, last pass`).toEqual(oracle(one.tree));
      expect(last.full).toBeUndefined();
      await one.verify(last);
      await one.close();
    },
  );
});
