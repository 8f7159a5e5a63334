import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseNetworks } from '../../config/networks.ts';
import type { Settings } from '../../config/settings.ts';
import { openKept } from '../../services/network/kept.ts';
import { openStore } from '../../services/networks/store.ts';
import { createLog } from '../../shared/log.ts';

let directory: string;
let settings: Settings;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'vslab-kept-'));
  settings = { CONFIG_DIR: directory, STATE_DIR: directory, MTU: 1500 } as Settings;
  writeFileSync(`${directory}/networks.conf`, '10:10.60.10.0/24:10.60.10.1:name=blue,uplink=eth1\n');
});
afterEach(() => rmSync(directory, { recursive: true }));

const open = () => openKept({ settings, host: 'host1', log: createLog('error', 'host1') });
const told = (version: number, text: string, hosts = {}) => ({
  version,
  hash: 'x',
  networks: parseNetworks(text, 'n'),
  hosts,
  ts: 1,
});
const nobody = () => [];
const names = async (kept = open()) => (await kept.networks()).map((one) => one.name);

test('its own file counts until the master has told, and then also after a restart', async () => {
  const kept = open();
  expect(await names(kept)).toEqual(['blue']);
  expect(await kept.state()).toEqual({ source: 'file', held: [] });
  await kept.take(told(5, '10:10.60.10.0/24::name=blue\n20:10.60.20.0/24::name=green'), nobody);
  expect(await names(kept)).toEqual(['blue', 'green']);
  writeFileSync(`${directory}/networks.conf`, 'nonsense');
  expect(await names()).toEqual(['blue', 'green']);
  expect(await open().state()).toMatchObject({ source: 'master', version: 5 });
});

test('what is older is not taken, and the own uplink and MTU are', async () => {
  const kept = open();
  await kept.take(told(5, '10:10.60.10.0/24::name=blue'), nobody);
  expect(await kept.take(told(4, '20:10.60.20.0/24::name=green'), nobody)).toBeUndefined();
  expect(await kept.take(told(5, '20:10.60.20.0/24::name=green'), nobody)).toBeUndefined();
  expect(await names(kept)).toEqual(['blue']);
  const hosts = { host1: { uplink: 'eth7', mtu: 1400 }, host2: { uplink: 'eth8' } };
  await kept.take(told(6, '20:10.60.20.0/24::name=green', hosts), nobody);
  expect(await kept.networks()).toMatchObject([{ name: 'green', uplink: 'eth7', mtu: 1400, tagged: true }]);
});

test('what is held is tried again, and what left is forgotten only when it is down', async () => {
  const kept = open();
  const onBlue = ({ name }: { name: string }) => (name === 'blue' ? ['web1'] : []);
  const first = await kept.take(told(5, '20:10.60.20.0/24::name=green'), onBlue);
  expect(first?.held).toEqual([{ network: 'blue', vservers: ['web1'] }]);
  const again = open();
  expect(await names(again)).toEqual(['blue', 'green']);
  expect((await again.take(undefined, nobody))?.leaving).toMatchObject([{ name: 'blue' }]);
  const third = open();
  expect(await names(third)).toEqual(['green']);
  expect(third.leaving()).toHaveLength(1);
  await third.gone(third.leaving());
  const last = open();
  await last.networks();
  expect(last.leaving()).toEqual([]);
  expect(await last.take(undefined, nobody)).toBeUndefined();
});

test('a damaged file is put aside, and the own one counts', async () => {
  writeFileSync(`${directory}/networks.json`, '{"version":1,');
  const kept = open();
  expect(await names(kept)).toEqual(['blue']);
  expect(readdirSync(directory).some((file) => file.startsWith('networks.json.damaged-'))).toBe(true);
  await kept.take(told(5, '20:10.60.20.0/24::name=green'), nobody);
  expect(await names()).toEqual(['green']);
});

test('the master: every fault of both files at once, and versions that grow', async () => {
  const store = openStore(settings);
  writeFileSync(`${directory}/slaves.conf`, 'host1:uplink=eth1,mtu=1496\nhost2:noselect\n');
  const wanted = await store.read(await store.text());
  expect(wanted.hosts).toEqual({ host1: { uplink: 'eth1', mtu: 1496 } });
  const first = await store.apply(wanted, undefined);
  expect(await store.applied()).toMatchObject({ version: first.version, hash: first.hash });
  expect(store.isSame(await store.read(await store.text()), first)).toBe(true);
  const second = await store.apply(wanted, first);
  expect(second.version).toBeGreaterThan(first.version);
  const ahead = await store.apply(wanted, { ...second, version: 9_999_999_999 });
  expect(ahead.version).toBe(10_000_000_000);
  writeFileSync(`${directory}/slaves.conf`, 'host1:uplink=lo\n');
  await expect(store.read('nonsense')).rejects.toThrow(/networks\.conf:1:1: [^]*slaves\.conf:1:7: /);
  await store.writeText('# kept\n');
  expect(readFileSync(store.file, 'utf8')).toBe('# kept\n');
});
