import { describe, expect, test } from 'vitest';
import { beyond, chooseHost, networkOfAddress } from '../../services/orchestrator/plans/choose.ts';
import type { Deciding } from '../../services/orchestrator/plans/planned.ts';
import { limitsText } from '../../services/orchestrator/plans/summary.ts';
import type { HostInfo } from '../../shared/contract/host.ts';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { VsError } from '../../shared/errors.ts';

const GB = 1e9;
const directory = mkdtempSync(join(tmpdir(), 'vslab-create-plan-'));
afterAll(() => rmSync(directory, { recursive: true }));
interface Host {
  memory: number;
  disk: number;
  networks?: string[];
  online?: boolean;
  evacuated?: boolean;
}
const info = (host: string, { memory, disk, networks = ['blue'] }: Host): HostInfo =>
  ({
    host,
    cpus: 4,
    mem_bytes: 16 * GB,
    mem_free_bytes: memory * GB,
    storage: { free: disk * GB, total: 100 * GB },
    networks,
  }) as HostInfo;
function deciding(hosts: Record<string, Host>, slaves = ''): Deciding {
  writeFileSync(join(directory, 'slaves.conf'), slaves);
  return {
    context: { settings: { CONFIG_DIR: directory } },
    pool: {
      hosts: () => Object.keys(hosts),
      isOnline: (host: string) => hosts[host]?.online !== false,
      info: (host: string) => hosts[host] && info(host, hosts[host]),
    },
    marks: { get: (host: string) => (hosts[host]?.evacuated ? {} : undefined) },
  } as unknown as Deciding;
}
const memory = (gigabytes: number) => ({ limits: { memory_bytes: gigabytes * GB }, disk: 0 });

describe('the host of a new vserver', () => {
  test('the one with most of what is scarcer, memory or disk', async () => {
    const hosts = { a: { memory: 4, disk: 50 }, b: { memory: 8, disk: 20 }, c: { memory: 12, disk: 5 } };
    expect(await chooseHost(deciding(hosts), 'blue')).toBe('b');
  });

  test('never one that is noselect, offline, evacuated, or has not the network', async () => {
    const hosts = {
      a: { memory: 9, disk: 90 },
      b: { memory: 8, disk: 90, online: false },
      c: { memory: 7, disk: 90, evacuated: true },
      d: { memory: 6, disk: 90, networks: ['green'] },
      e: { memory: 1, disk: 90 },
    };
    expect(await chooseHost(deciding(hosts, 'a:noselect\n'), 'blue')).toBe('e');
  });

  test('one into which its limits fit; else a sentence for each that has no room', async () => {
    const hosts = { a: { memory: 4, disk: 50 }, b: { memory: 2, disk: 90 } };
    expect(await chooseHost(deciding(hosts), 'blue', memory(3))).toBe('a');
    await expect(chooseHost(deciding(hosts), 'blue', memory(5))).rejects.toThrow(
      /a has 4\.0 GB of memory free, not 5\.0 GB; b has 2\.0 GB of memory free, not 5\.0 GB; name one with --host/,
    );
    await expect(chooseHost(deciding({}), 'blue')).rejects.toThrow(/no host is online that may be chosen/);
  });

  test('a disk without room is only the last choice: its trash may make some', async () => {
    const hosts = { a: { memory: 9, disk: 3 }, b: { memory: 2, disk: 9 } };
    expect(await chooseHost(deciding(hosts), 'blue', { limits: {}, disk: 5 * GB })).toBe('b');
    expect(await chooseHost(deciding(hosts), 'blue', { limits: {}, disk: 50 * GB })).toBe('a');
  });

  test('the host of the original comes first, if it may be chosen and has room', async () => {
    const hosts = { a: { memory: 9, disk: 90 }, b: { memory: 2, disk: 90 } };
    expect(await chooseHost(deciding(hosts), 'blue', undefined, 'b')).toBe('b');
    expect(await chooseHost(deciding(hosts), 'blue', memory(3), 'b')).toBe('a');
    expect(await chooseHost(deciding(hosts, 'b:noselect\n'), 'blue', undefined, 'b')).toBe('a');
  });

  test('limits beyond what a named host has in all', () => {
    const here = info('a', { memory: 1, disk: 1 });
    expect(beyond(here, memory(17))).toBe('a memory limit of 17.0 GB is more than the 16.0 GB that a has');
    expect(beyond(here, { limits: { cpu: 5 }, disk: 0 })).toBe(
      'a limit of 5 cores is more than the 4 that a has',
    );
    expect(beyond(here, memory(16))).toBeUndefined();
  });

  test('the network is that of the first host that knows one', async () => {
    const asked: string[] = [];
    const bus = {
      request: async (host: string) => {
        asked.push(host);
        if (host === 'a') throw new VsError('refused', '192.0.2.1 is in no network');
        return { network: { name: 'blue' } };
      },
    };
    const context = { bus } as unknown as Deciding['context'];
    expect(await networkOfAddress({ context }, ['a', 'b', 'c'], '192.0.2.1')).toEqual({ name: 'blue' });
    expect(asked).toEqual(['a', 'b']);
    await expect(networkOfAddress({ context }, ['a'], '192.0.2.1')).rejects.toThrow(/is in no network/);
    await expect(networkOfAddress({ context }, [], '192.0.2.1')).rejects.toThrow(/no host is online/);
  });
});

test('limits for people, also those that are not known here', () => {
  expect(limitsText({})).toBe('none');
  expect(limitsText({ memory_bytes: 512 * 1024 ** 2, procs: 200, cpu: 0.8 })).toBe(
    'memory 512 MiB, 200 processes, 0.8 cores',
  );
  expect(limitsText({ disk_bytes: 2 * 1024 ** 3, weight: 3 } as never)).toBe('disk 2 GiB, weight 3');
});
