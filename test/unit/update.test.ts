import { describe, expect, test } from 'vitest';
import { judge } from '../../services/host-agent/update/judge.ts';
import { backTimer, installUnit } from '../../services/host-agent/update/units.ts';
import { type HostFacts, decide } from '../../services/orchestrator/plans/update-decide.ts';
import { places } from '../../services/orchestrator/queue.ts';
import { newFaults } from '../../services/orchestrator/sagas/update-host.ts';
import { packageFile } from '../../shared/contract/update.ts';
import { compareVersions, debianVersion, packageName } from '../../shared/versions.ts';

const look = { version: '0.1.0', data: 1, architecture: 'amd64', stage: 'none' as const };
const facts: HostFacts = {
  host: 'host1',
  online: true,
  version: '0.1.0',
  look,
  busy: [],
  hasPackage: true,
  hasBack: true,
};
const wanted = { version: '0.2.0', data: 1, oneWay: false, directory: '/packages' };

describe('what becomes of a host', () => {
  test.each([
    ['an older one is updated', {}, {}, { what: 'update', from: '0.1.0' }],
    ['one that has it stays', { version: '0.2.0' }, {}, { what: 'current' }],
    ['one that is away', { online: false }, {}, { what: 'offline', why: 'host1 is offline' }],
    [
      'one that a saga has waits',
      { busy: ['move-1'] },
      {},
      { what: 'busy', from: '0.1.0', why: 'waits for move-1' },
    ],
    [
      'new data, and a way back by force only',
      {},
      { data: 2, oneWay: true },
      { what: 'update', from: '0.1.0' },
    ],
    ['no way back wanted', { hasBack: false }, { oneWay: true }, { what: 'update', from: '0.1.0' }],
  ])('%s', (_name, of, want, decision) => {
    expect(decide({ ...facts, ...of }, { ...wanted, ...want })).toEqual(decision);
  });
  test.each<[string, Partial<HostFacts>, Partial<typeof wanted>, RegExp]>([
    [
      'a newer one',
      { version: '0.3.0' },
      {},
      /host1 runs 0\.3\.0, which is newer than the 0\.2\.0 of the master/,
    ],
    ['one that said nothing', { version: undefined }, {}, /has not said its version/],
    ['an agent that knows no update', { look: undefined }, {}, /by hand, this once/],
    [
      'what is missing',
      { look: { ...look, lacks: 'host1 has no systemd: run install.sh' } },
      {},
      /no systemd: run install\.sh/,
    ],
    ['one that is at it', { look: { ...look, stage: 'at work', saga: 's9' } }, {}, /already \(saga s9\)/],
    ['no package', { hasPackage: false }, {}, /no package of vs-tools 0\.2\.0 for amd64 in \/packages/],
    ['data that cannot go back', {}, { data: 2 }, /data of version 2 .* cannot read.* --one-way/],
    ['data of a newer one', { look: { ...look, data: 3 } }, { oneWay: true }, /a downgrade is refused/],
    ['nothing to go back to', { hasBack: false }, {}, /the package of 0\.1\.0.*--one-way/],
  ])('refused: %s', (_name, of, want, why) => {
    const decision = decide({ ...facts, ...of }, { ...wanted, ...want });
    expect(decision).toMatchObject({ what: 'refused', why: expect.stringMatching(why) as string });
  });
});

describe('how an update stands on its host', () => {
  const note = { from: '0.1.0', to: '0.2.0-rc.1' };
  const now = { atWork: false, running: '0.1.0', said: 'dpkg: error' };
  const dpkg = (version: string, status = 'installed') => ({ dpkg: { version, status } });
  test.each([
    ['none', undefined, { ...now, ...dpkg('0.1.0') }],
    ['none', { ...note, settled: true }, { ...now, ...dpkg('0.1.0') }],
    ['at work', note, { ...now, ...dpkg('0.2.0~rc.1', 'half-configured'), atWork: true }],
    ['installed', note, { ...now, ...dpkg('0.2.0~rc.1'), running: '0.2.0-rc.1' }],
    ['back', note, { ...now, ...dpkg('0.1.0') }],
    ['failed', note, { ...now, ...dpkg('0.2.0~rc.1', 'unpacked') }],
    ['failed', note, { ...now, ...dpkg('0.2.0~rc.1') }], // the agent was not restarted
    ['failed', note, { ...now, ...dpkg('0.1.0'), running: '0.2.0-rc.1' }],
    ['failed', note, { ...now, ...dpkg('0.3.0') }],
    ['failed', note, { ...now, dpkg: undefined }],
  ])('%s', (stage, of, seen) => {
    expect(judge(of, seen).stage).toBe(stage);
  });
  test('its sentence has the last words of dpkg', () => {
    expect(judge(note, { ...now, ...dpkg('0.2.0~rc.1', 'unpacked') }).message).toBe(
      'dpkg left vs-tools 0.2.0~rc.1 unpacked: dpkg: error',
    );
  });
});

test('versions: which is newer, and how Debian writes them', () => {
  const row = ['0.9.0', '0.10.0-alpha', '0.10.0-rc.1', '0.10.0-rc.2', '0.10.0-rc.10', '0.10.0', '1.0.0'];
  for (const [at, one] of row.entries())
    for (const [other, two] of row.entries())
      expect([one, two, Math.sign(compareVersions(one, two))]).toEqual([one, two, Math.sign(at - other)]);
  expect(debianVersion('1.2.0-rc.1')).toBe('1.2.0~rc.1'); // dpkg: older than 1.2.0
  expect(packageName('1.2.0-rc.1', 'amd64')).toBe('vs-tools_1.2.0~rc.1_amd64.deb');
  expect(packageFile.safeParse(packageName('1.2.0-rc.1', 'arm64')).success).toBe(true);
  for (const wrong of [
    '../x.deb',
    'vs-tools_1_amd64.deb/..',
    'vs-tools_/etc_amd64.deb',
    '.vs-tools_1.0.0_amd64.deb.coming',
  ])
    expect(packageFile.safeParse(wrong).success, wrong).toBe(false);
});

test('an update has its host for itself: it waits for the sagas there, and later ones wait for it', () => {
  const saga = (id: string, ...hosts: string[]) => ({ id, hosts });
  const update = { ...saga('u', 'h1'), alone: true };
  expect(places([saga('a', 'h1')], [update, saga('b', 'h1'), saga('c', 'h2')], 2)).toEqual({
    free: ['c'],
    waits: new Map([
      ['u', 'waits until no other saga is at work on h1'],
      ['b', 'waits for a free place on h1 (1 of 2, 2 before it)'],
    ]),
  });
  expect(places([update], [saga('b', 'h1')], 2).free).toEqual([]);
  expect(places([], [update], 2).free).toEqual(['u']);
});

test('only faults that were not there before count against the new version', () => {
  const fail = (check: string, subject?: string) => ({
    check,
    result: 'fail' as const,
    message: check,
    ...(subject ? { subject } : {}),
  });
  const now = [fail('storage'), fail('networks', 'blue'), { ...fail('kernel'), result: 'warn' as const }];
  expect(newFaults(['storage '], now)).toEqual([fail('networks', 'blue')]);
});

test('dpkg runs in a unit of its own, asks nobody, and keeps settings that were changed', () => {
  const install = installUnit('/p/x.deb', '/s/update.log');
  expect(install.slice(0, 3)).toEqual(['systemd-run', '--unit=vs-update', '--collect']);
  expect(install.slice(install.indexOf('--'))).toEqual([
    '--',
    'dpkg',
    '--force-confdef',
    '--force-confold',
    '--install',
    '/p/x.deb',
  ]);
  const back = backTimer('/p/old.deb', '/s/update.log', 900);
  expect(back).toContain('--on-active=900');
  expect(back).toContain('--unit=vs-update-back');
  expect(back).toContain('--property=Restart=on-failure'); // another dpkg may have the lock
  expect(install.join(' ')).not.toContain('Restart=');
  expect(back.at(-1)).toBe('/p/old.deb');
});
