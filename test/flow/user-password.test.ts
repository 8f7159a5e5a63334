import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RealMaster, cli, needed, realMaster } from './identity-kit.ts';

let master: RealMaster;
beforeAll(async () => {
  master = await realMaster();
  needed(master.init());
});
afterAll(() => master.stop());
/** What a person types at a terminal, and what it shows. */
function typed(words: string, input: string) {
  const clean = Object.fromEntries(Object.entries(process.env).filter(([key]) => !key.startsWith('VS_')));
  const { status, stdout } = spawnSync(
    'script',
    ['-qec', `${process.execPath} ${cli} ${words}`, '/dev/null'],
    {
      encoding: 'utf8',
      timeout: 60_000,
      input,
      env: { ...clean, VS_CONFIG_DIR: master.at('master'), NO_COLOR: '1' },
    },
  );
  return { status, stdout };
}
const users = () => master.vs('user', 'list').stdout;

test('at a terminal a password is asked for twice; two different ones make no user', () => {
  const other = typed('user add anna --role viewer', 'a long secret\na lomg secret\n');
  expect(other.stdout).toContain('two different passwords');
  expect(other.status).toBe(2);
  expect(users()).not.toContain('anna');
  const same = typed('user add anna --role viewer', 'a long secret\na long secret\n');
  expect(same.stdout).toMatch(/Password: [^]*The same again: /);
  expect(same.status).toBe(0);
  expect(users()).toMatch(/^anna +viewer/m);
});

test('one that is too short is not asked for again', () => {
  const short = typed('user add berta --role viewer', 'short\nshort\n');
  expect(short.stdout).toContain('fewer than 8 characters');
  expect(short.stdout).not.toContain('The same again');
  expect(short.status).toBe(2);
  expect(users()).not.toContain('berta');
});
