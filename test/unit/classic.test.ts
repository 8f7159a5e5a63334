import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { expect, test } from 'vitest';
import {
  limitLines,
  monitorLine,
  moveLines,
  netLines,
  packageLines,
  scanLines,
  statLines,
} from '../../cli/classic/lines.ts';
import { readFlags } from '../../cli/classic/main.ts';
import { addressOf, classics, later } from '../../cli/classic/table.ts';
import type { ScanRow } from '../../shared/contract/orchestrator.ts';

const flags = (name: string, ...argv: string[]) => {
  const command = classics[name];
  if (!command) throw new Error(name);
  return readFlags(command, argv);
};

test('flags take values as the classic did', () => {
  expect(flags('vs-control', '--name', 'web1', '--stop', '--disable').given).toEqual({
    name: 'web1',
    stop: true,
    disable: true,
  });
  expect(flags('vs-create', '--debootstrap', '--name', 'a').given).toEqual({ debootstrap: true, name: 'a' });
  expect(flags('vs-create', '--debootstrap', 'bookworm').given).toEqual({ debootstrap: 'bookworm' });
  expect(flags('vs-move', '--name=web1', '--dst_host=host2', '--1pass').given).toEqual({
    name: 'web1',
    dst_host: 'host2',
    '1pass': true,
  });
  expect(() => flags('vs-scan', '--nonsense')).toThrow(/Unknown option.*--help/);
  expect(() => flags('vs-scan', '--host')).toThrow(/--help/);
});

test('an interface may name a device, which is the affair of the network today', () => {
  expect(addressOf('eth0:10.0.0.5/24')).toBe('10.0.0.5/24');
  expect(addressOf('10.0.0.5')).toBe('10.0.0.5');
  expect(addressOf('10.0.0.5,fd00::5')).toBe('10.0.0.5,fd00::5');
});

test('what is watched', () => {
  const view = { name: 'web1', enabled: true, running: true, checks: [1] };
  expect(monitorLine('host1', view)).toBe('host1:web1:running');
  for (const one of [{ enabled: false }, { running: false }, { checks: [] }])
    expect(monitorLine('host1', { ...view, ...one })).toBe('host1:web1:stopped');
});

test('lines of a scan: vservers, hosts without, hosts that do not answer', () => {
  const none = { vserver: null, enabled: null, address: null, network: null, epoch: null };
  const rows = [
    { host: 'host1', vserver: 'web1', state: 'running', enabled: true },
    { host: 'host1', vserver: 'web2', state: 'stopped', enabled: false },
    { host: 'host1', vserver: 'web3', state: 'frozen', enabled: false },
    { ...none, host: 'host3', state: 'offline' },
    { host: 'host3', vserver: 'web4', state: 'unknown', enabled: true },
  ] as ScanRow[];
  expect(scanLines(rows, ['host1', 'host2', 'host3'])).toEqual([
    'host1:web1:enabled:running',
    'host1:web2:disabled:stopped',
    'host1:web3:disabled:running',
    'host2:EMPTY',
    'host3:UNREACHABLE',
  ]);
});

test('lines of limits are in MB, and only those that the classic had', () => {
  const row = { hits: null };
  expect(
    limitLines([
      {
        ...row,
        resource: 'memory',
        key: 'memory_bytes',
        unit: 'bytes',
        used: 64 * 1024 ** 2,
        limit: 512 * 1024 ** 2,
      },
      { ...row, resource: 'disk', key: 'disk_bytes', unit: 'bytes', used: null, limit: null },
      { ...row, resource: 'procs', key: 'procs', unit: 'processes', used: 12, limit: null },
      { ...row, resource: 'cpu-weight', key: 'cpu_weight', unit: 'weight', used: null, limit: 100 },
    ]),
  ).toEqual(['rss:64/512', 'disk:/', 'proc:12/']);
});

test('lines of figures, a move, and packages', () => {
  const one = { kind: 'vserver' as const, name: 'web1', host: 'host1', state: 'running', rates: {} };
  expect(statLines({ ...one, figures: { ts: 1, mem_bytes: 5, load_1: 0.5, psi_io_some_pct: 0 } })).toEqual([
    'host:host1',
    'vserver:web1',
    'state:running',
    'rss_used:5',
    'loadavg_1:0.5',
    'psi_io_some_pct:0',
  ]);
  expect(moveLines({ started: 1000, ended: 6300, downtimeMs: 380 } as never)).toEqual([
    'total:5.30',
    'stopped:0.38',
  ]);
  expect(
    packageLines([
      { package: 'a', version: '1' },
      { package: 'a', version: '1', candidate: '2' },
      { package: 'b', summary: 'does b' },
    ]),
  ).toEqual(['a:1', 'a:1:2', 'b:does b']);
});

test('lines of the network', () => {
  const row = {
    host: 'host1',
    vserver: 'web1',
    enabled: true,
    address: '10.60.10.5',
    network: 'blue',
    epoch: 1,
  };
  const networks = [{ network: { name: 'blue' }, hosts: [{ host: 'host1', up: true }] }];
  const rows = [
    { ...row, state: 'running' as const },
    { ...row, vserver: 'db1', state: 'stopped' as const },
    { ...row, vserver: 'app1', host: 'host2', state: 'stopped' as const },
  ];
  expect(netLines(rows, { networks, walls: new Set(['host1:web1']) })).toEqual([
    'host1:db1:down:up:down:down:down',
    'host1:web1:up:up:up:up:up',
    'host2:app1:down:down:down:down:down',
  ]);
  expect(netLines(rows, { networks, walls: new Set(['host2:web1']) })[1]).toBe(
    'host1:web1:up:up:up:down:down',
  );
  expect(flags('vs-net', '--name', 'web1', '--fw', 'up').given).toEqual({ name: 'web1', fw: 'up' });
});

test('every name of the classic is there, leads to vs, and is documented', () => {
  const folder = new URL('../../classic/', import.meta.url);
  const names = readdirSync(folder).sort();
  expect(names).toEqual([...Object.keys(classics), ...Object.keys(later)].sort());
  for (const name of names) expect(readlinkSync(new URL(name, folder))).toBe('../vs');
  const text = readFileSync(new URL('../../docs/classic.md', import.meta.url), 'utf8');
  for (const name of names) expect(text).toContain(`\`${name}`);
});
