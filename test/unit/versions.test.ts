import { cpSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { z } from 'zod';
import { usersFile } from '../../broker/users.ts';
import { openTokens } from '../../services/authority/tokens.ts';
import { alerterState } from '../../services/alerter/state.ts';
import { openKept } from '../../services/network/kept.ts';
import { type Plan, buildSaga } from '../../services/orchestrator/build.ts';
import { openEpochs } from '../../services/orchestrator/epochs.ts';
import { parseJournal } from '../../services/orchestrator/journal.ts';
import { migrate } from '../../services/orchestrator/migrate.ts';
import type { Driver } from '../../services/snapshot/drivers.ts';
import { openTrash } from '../../services/snapshot/trash.ts';
import { backupRecord } from '../../shared/contract/backup.ts';
import { keptRecord } from '../../shared/contract/kept.ts';
import { poolNetworks } from '../../shared/contract/networks.ts';
import type { SagaState } from '../../shared/contract/saga.ts';
import { copyRecord } from '../../shared/contract/snapshot.ts';
import { ownership, removedVserver, vserverConfig } from '../../shared/contract/vserver.ts';
import { DATA_VERSION, prepareData } from '../../shared/data-version.ts';
import { formatOf } from '../../shared/migrate.ts';
import { readJson } from '../../shared/store.ts';
import { temporary } from './temporary.ts';

const folder = new URL('../fixtures/versions/', import.meta.url).pathname;
const versions = readdirSync(folder).filter((name) => /^\d/.test(name));

/** A store that has one schema, or one that is asked by its own reader, which must find something. */
type Reader = { schema: z.ZodType } | { read: (path: string) => Promise<unknown> };
const quiet = () => undefined;
const log = { error: quiet, warn: quiet, info: quiet, debug: quiet } as never;

const readers: [RegExp, Reader][] = [
  [/\/vserver\.json$/, { schema: vserverConfig }],
  [/\/owned\/[a-z0-9]+\.json$/, { schema: ownership }],
  [/\/kept\/.*\/record\.json$/, { schema: keptRecord }],
  [/\/backup\.json$/, { schema: backupRecord }],
  [/\/copy\.json$/, { schema: copyRecord }],
  [/\/networks-applied\.json$/, { schema: poolNetworks }],
  [/\/alerter\/state\.json$/, { schema: alerterState }],
  [/\/broker-users\.json$/, { schema: usersFile }],
  [
    /\/trash\/[a-z0-9.-]+\.json$/,
    {
      read: (path) => {
        const [name = '', saga = ''] = basename(path, '.json').split('.');
        return openTrash(dirname(path), {} as Driver, 7).find({ name, saga });
      },
    },
  ],
  [/\/tokens\.json$/, { read: (path) => openTokens(dirname(path)).valid() }],
  [
    /\/epochs\.json$/,
    {
      async read(path) {
        const bus = { subscribe: () => Promise.resolve(), topics: { all: { vserverState: '' } } };
        const epochs = openEpochs({ bus, settings: { STATE_DIR: dirname(path) }, log } as never);
        await epochs.start();
        const known = JSON.parse(readFileSync(path, 'utf8')) as { epochs: Record<string, number> };
        return Object.keys(known.epochs).every((uuid) => epochs.of(uuid) > 0) || undefined;
      },
    },
  ],
  [
    /\/removed\.json$/,
    {
      read: (path) => {
        const { removed } = JSON.parse(readFileSync(path, 'utf8')) as { removed: unknown[] };
        return Promise.resolve(removed.map((one) => removedVserver.parse(one)));
      },
    },
  ],
  [
    /\/state\/networks\.json$/,
    {
      read: async (path) => {
        const kept = openKept({ settings: { STATE_DIR: dirname(path) }, host: 'host1', log } as never);
        return (await kept.state()).source === 'file' ? undefined : kept;
      },
    },
  ],
  [/\/data-version\.json$/, { read: (path) => readFileSync(path, 'utf8') as never }],
];
const readerOf = (path: string) => readers.find(([pattern]) => pattern.test(path))?.[1];

describe.each(versions)('what vs-tools %s wrote', (version) => {
  const files = readdirSync(join(folder, version), { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.json'),
  );
  const scratch = temporary('versions');
  cpSync(join(folder, version), scratch, { recursive: true });

  test.each(files)('%s is read', async (file) => {
    const reader = readerOf(`/${file}`);
    if (!reader) throw new Error(`nobody reads ${file}: add its reader to ${basename(import.meta.url)}`);
    const path = join(scratch, file);
    expect(await ('schema' in reader ? readJson(path, reader.schema) : reader.read(path))).toBeDefined();
  });

  test.each(files.filter((file) => 'schema' in (readerOf(`/${file}`) ?? {})))(
    '%s of a newer format is refused by name',
    async (file) => {
      const reader = readerOf(`/${file}`);
      const known = reader && 'schema' in reader ? formatOf(reader.schema) : undefined;
      if (!reader || !('schema' in reader) || known === undefined) return;
      const path = join(temporary('newer'), file);
      const value = JSON.parse(readFileSync(join(scratch, file), 'utf8')) as object;
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, JSON.stringify({ ...value, version: known + 1, unheardOf: {} }));
      await expect(readJson(path, reader.schema)).rejects.toMatchObject({
        code: 'refused',
        message: expect.stringContaining(path),
      });
    },
  );

  const journals = readdirSync(join(folder, version, 'journals')).filter((name) => name.endsWith('.jsonl'));
  test.each(journals)('the journal %s is read, and its saga has the same steps', (file) => {
    const { lines, open } = parseJournal(readFileSync(join(folder, version, 'journals', file)), file);
    expect([open, lines.at(-1)?.kind]).toEqual([false, 'end']);
    const begin = migrate(lines)[0] as unknown as { plan: Plan; state: SagaState };
    const nobody = { deciding: {}, clock: {} } as never;
    const { state } = buildSaga(begin.plan, { ...begin.state, steps: [] }, {} as never, nobody);
    expect(state.steps.map((row) => row.step)).toEqual(begin.state.steps.map((row) => row.step));
  });

  test.each(['master', 'host1'])('STATE_DIR of %s goes forward to the version of today', async (machine) => {
    const STATE_DIR = join(scratch, machine, 'state');
    await prepareData({ STATE_DIR }, 'today');
    const { data } = JSON.parse(readFileSync(join(STATE_DIR, 'data-version.json'), 'utf8')) as {
      data: number;
    };
    expect(data).toBe(DATA_VERSION);
    await expect(prepareData({ STATE_DIR }, 'before', { known: DATA_VERSION - 1 })).rejects.toMatchObject({
      code: 'refused',
    });
  });
});
