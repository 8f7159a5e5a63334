import { expect, test } from 'vitest';
import { lxcConfig } from '../../services/host-agent/lxc-config.ts';
import { plain, systemdCheck, unitsOf } from '../../services/host-agent/trial-checks.ts';
import { trialHook, trialRules } from '../../services/host-agent/trial-hook.ts';

const port = { device: 'eth0', veth: 'vsv01234567', addresses6: [{ address: 'fd60:10::5', prefix: 64 }] };

test('the wire of a try takes nothing, and is plugged into nothing', () => {
  const rules = trialRules([port]);
  expect(rules).toContain('hook ingress device "vsv01234567" priority -500; policy drop;');
  expect(rules).not.toMatch(/accept/);
  const hook = trialHook('/run/vs/.trials/web1-test', [port]);
  expect(hook).not.toMatch(/master/);
  // closed before anything of it runs, or it does not start
  expect(hook.indexOf('host.nft')).toBeLessThan(hook.indexOf('guest.nft'));
  expect(hook).toMatch(/^set -eu$/m);
  expect(trialRules([port], 'gone')).not.toContain('chain');
});

test('what is tried has no hook that asks for its owner; each vserver has', () => {
  const vserver = {
    version: 1 as const,
    uuid: '9b2f6a52-6f43-4f0f-9d51-7a2d0f7c9a11',
    name: 'web1',
    network: 'blue',
    mac: '02:1a:2b:3c:4d:5e',
    enabled: true,
    limits: {},
    idmap: 100_000,
    source: '',
    created: 1,
  };
  const net = { interfaces: [], hook: '/hook' };
  const host = {
    layout: { version: {} },
    disks: [],
    init: 'busybox' as const,
  } as unknown as Parameters<typeof lxcConfig>[3];
  const own = {
    rootfs: '/a',
    mount: '/b',
    ownership: '/c.json',
    console: '/d',
    portUp: '/e',
    seccomp: '/f',
  };
  expect(lxcConfig(vserver, net, own, host)).not.toContain('lxc.hook.pre-start');
  expect(lxcConfig(vserver, net, { ...own, preStart: '/pre-start' }, host)).toContain(
    'lxc.hook.pre-start = /pre-start /c.json /a /b 100000',
  );
});

test('what systemd says of itself: up, up with failed units, or not yet', () => {
  expect(systemdCheck('running', [])).toMatchObject({ ok: true });
  expect(systemdCheck('degraded', ['nginx.service'])).toMatchObject({
    ok: false,
    message: 'systemd is degraded: nginx.service failed',
  });
  for (const word of ['starting', 'initializing', 'offline', 'unknown', ''])
    expect(systemdCheck(word, [])).toBeUndefined();
  expect(unitsOf('nginx.service loaded failed failed web\n● db.service loaded failed failed db\n\n')).toEqual(
    ['nginx.service', 'db.service'],
  );
  expect(plain('a\u001b[2Jb\nc')).toBe('a [2Jb c');
});
