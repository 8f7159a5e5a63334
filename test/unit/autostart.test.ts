import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { autostart } from '../../services/host-agent/boot.ts';
import { VsError } from '../../shared/errors.ts';
import { pathsFor } from '../../shared/paths.ts';

let place: string;
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'vslab-autostart-'));
});
afterEach(() => rmSync(place, { recursive: true }));

const uuid = '6f1c1c5e-0000-4000-8000-000000000001';
function write(path: string, value: unknown): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, JSON.stringify(value));
}

/** The autostart of a host that boots with web1, whose starts end as told; answers how often it was begun, and what was said. */
async function boots(...ends: (Error | undefined)[]): Promise<{ begun: number; events: string[] }> {
  const settings = {
    VSERVER_DIR: join(place, 'vservers'),
    STATE_DIR: join(place, 'state'),
    RUN_DIR: join(place, 'run'),
    BOOT_POOL_WAIT: 0,
    BOOT_PARALLEL: 2,
  };
  const paths = pathsFor(settings);
  const config = {
    version: 1,
    uuid,
    name: 'web1',
    network: 'blue',
    address: '10.60.10.5',
    prefix: 24,
    mac: '02:00:00:00:00:05',
    enabled: true,
    limits: {},
    idmap: 100_000,
    source: 'busybox',
    created: 1,
  };
  write(paths.vserverJson('web1'), config);
  write(paths.ownership('web1'), { version: 1, name: 'web1', uuid, owner: true, epoch: 1, saga: 's', ts: 1 });
  let begun = 0;
  const events: string[] = [];
  const context = {
    settings,
    host: 'host1',
    log: { warn: () => undefined },
    bus: { event: (_service: string, _event: string, message: string) => void events.push(message) },
  };
  const start = () => {
    const end = ends[begun++];
    return end ? Promise.reject(end) : Promise.resolve();
  };
  await autostart(
    context as unknown as Parameters<typeof autostart>[0],
    paths,
    { holder: () => Promise.resolve(undefined) } as unknown as Parameters<typeof autostart>[2],
    { start } as unknown as Parameters<typeof autostart>[3],
    new Set(['web1']),
    () => Promise.resolve(true),
    new AbortController().signal,
  );
  return { begun, events };
}

test('what a host that has much to do answers late is tried again at its boot', async () => {
  const late = new VsError('unavailable', 'host1 did not answer network.attach within 60 s', {
    retryable: true,
  });
  expect(await boots(late, undefined)).toEqual({ begun: 2, events: [] });
});

test('what another try does not mend is told at once, and is not tried again', async () => {
  const refused = new VsError('conflict', 'its address answers elsewhere');
  expect(await boots(refused)).toEqual({
    begun: 1,
    events: ['web1 did not start at boot: its address answers elsewhere'],
  });
});
