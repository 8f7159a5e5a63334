import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { loadSettings } from '../../config/settings.ts';
import { claim, release } from '../../services/host-agent/ownership.ts';
import { ownedNames, ownershipsOf, readOwnership } from '../../shared/ownership.ts';
import { temporary } from './temporary.ts';

const work = temporary('owned');
afterAll(() => rmSync(work, { recursive: true, force: true }));
const settings = { ...loadSettings({ file: '/nonexistent', env: {} }), STATE_DIR: work };
const [first, second] = ['11111111-1111-4111-8111-111111111111', '22222222-2222-4222-8222-222222222222'];
beforeEach(() => rmSync(join(work, 'owned'), { recursive: true, force: true }));

test('a renamed vserver is claimed above every epoch that it had by any name', async () => {
  await claim(settings, { name: 'web1', uuid: first, saga: 'a', epoch: 3 });
  await expect(claim(settings, { name: 'web3', uuid: first, saga: 'b', epoch: 4 })).rejects.toThrow(
    /was called web1 here and has epoch 3, which this host owns/,
  );
  await release(settings, { name: 'web1', saga: 'b', epoch: 3, to: 'web3' });
  await expect(claim(settings, { name: 'web3', uuid: first, saga: 'b', epoch: 3 })).rejects.toThrow(
    /too old/,
  );
  await claim(settings, { name: 'web3', uuid: first, saga: 'b', epoch: 4 });
  await claim(settings, { name: 'web3', uuid: first, saga: 'b', epoch: 4 }); // a repeat
  expect(await readOwnership(settings, 'web1')).toMatchObject({ owner: false, releasedTo: 'web3' });
});

test('what is known of one is not lost when another gets its name', async () => {
  await claim(settings, { name: 'web1', uuid: first, saga: 'a', epoch: 7 });
  await release(settings, { name: 'web1', saga: 'b', epoch: 7, to: 'trash' });
  await claim(settings, { name: 'web1', uuid: second, saga: 'c', epoch: 1 });
  expect(await ownershipsOf(settings, { uuid: first })).toMatchObject([{ epoch: 7, owner: false }]);
  expect(existsSync(join(work, 'owned', `${first}.json`))).toBe(true);
  await release(settings, { name: 'web1', saga: 'd', epoch: 1, to: 'trash' });
  await expect(claim(settings, { name: 'web1', uuid: first, saga: 'e', epoch: 7 })).rejects.toThrow(
    /too old/,
  );
  await claim(settings, { name: 'web1', uuid: first, saga: 'e', epoch: 8 });
});

test('what this host owns is found by its uuid, by the name that it has now', async () => {
  const owned = ownedNames(settings);
  expect(await owned(first)).toBeUndefined();
  await claim(settings, { name: 'web1', uuid: first, saga: 'a', epoch: 1 });
  expect(await owned(first)).toBe('web1');
  await release(settings, { name: 'web1', saga: 'b', epoch: 1, to: 'web3' });
  expect(await owned(first)).toBeUndefined();
  await claim(settings, { name: 'web3', uuid: first, saga: 'b', epoch: 2 });
  expect(await owned(first)).toBe('web3');
});
