import { expect, test } from 'vitest';
import { freezerOf } from '../../services/host-agent/freezer.ts';

const payload = 'lxc.payload.web1';

test('the freezer of a container on cgroup v1, of a process in a group below it', () => {
  const found = freezerOf(
    `9:name=systemd:/lab/${payload}/init.scope\n6:freezer:/lab/${payload}/deep\n0::/lab/${payload}/init.scope\n`,
    payload,
    '/cg',
  );
  expect(found?.look).toBe(`/cg/freezer/lab/${payload}/freezer.state`);
  expect(found?.write).toBe(found?.look);
  expect(['FROZEN\n', 'FREEZING\n', 'THAWED\n', ''].map((text) => found?.isFrozen(text))).toEqual([
    true,
    false,
    false,
    false,
  ]);
});

test('the freezer of a container on cgroup v2', () => {
  const found = freezerOf(`0::/${payload}/system.slice/a.service\n`, payload, '/cg');
  expect(found).toMatchObject({
    look: `/cg/${payload}/cgroup.events`,
    write: `/cg/${payload}/cgroup.freeze`,
    thaw: '0',
  });
  expect(found?.isFrozen('populated 1\nfrozen 1\n')).toBe(true);
  expect(found?.isFrozen('populated 1\nfrozen 0\n')).toBe(false);
  expect(found?.isFrozen('')).toBe(false);
});

test('a process that is in no group of the container has none', () => {
  expect(freezerOf('6:freezer:/\n0::/user.slice\n', payload)).toBeUndefined();
  expect(freezerOf(`0::/${payload}0/init.scope\n`, payload)).toBeUndefined();
});
