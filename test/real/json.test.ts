import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { outputs } from '../../cli/outputs.ts';
import { realLab } from './lab-kit.ts';

const lab = realLab('js');
beforeAll(() => lab.up());
afterAll(() => {
  lab.on('host1', 'rmdir /mnt/js1; true', null);
  lab.down();
});

/** Verbs in the order in which a pool lives; the words before the first flag or argument name the output. */
const life: [string, string[]][] = [
  ['version', []],
  ['template list', []],
  ['create', ['js1', '10.60.10.5', 'busybox', '--host', 'host1', '--start', '--dry-run']],
  ['create', ['js1', '10.60.10.5', 'busybox', '--host', 'host1', '--start', '--enable']],
  ['scan', []],
  ['show', ['js1']],
  ['limit', ['js1', '--memory', '128M']],
  ['address list', ['js1']],
  ['address add', ['js1', '10.60.10.25']],
  ['address remove', ['js1', '10.60.10.25']],
  ['boot', ['js1', '--order', '2', '--delay', '1', '--stop-timeout', '9']],
  ['stats', []],
  ['top', []],
  ['pause', ['js1']],
  ['resume', ['js1']],
  ['disable', ['js1']],
  ['enable', ['--all']],
  ['restart', ['js1', '--timeout', '5']],
  ['snapshot create', ['js1', 'one']],
  ['snapshot list', []],
  ['snapshot show', ['js1', 'one']],
  ['snapshot diff', ['js1', 'one']],
  ['snapshot mount', ['js1', 'one', '/mnt/js1']],
  ['snapshot umount', ['js1', 'one']],
  ['snapshot protect', ['js1', 'one']],
  ['snapshot unprotect', ['js1', 'one']],
  ['snapshot schedule', ['js1']],
  ['snapshot schedule', ['js1', 'daily']],
  ['snapshot rollback', ['js1', 'one', '--yes']],
  ['snapshot clone', ['js1', 'one', 'js9', '10.60.10.9', '--dry-run']],
  ['snapshot remove', ['js1', 'one', '--yes']],
  ['get', ['js1']],
  ['copies list', []],
  ['copy', ['js1', 'js2', '--address', '10.60.10.6', '--host', 'host2']],
  ['move', ['js1', 'host2', '--dry-run']],
  ['move', ['js1', 'host2']],
  ['stop', ['js1']],
  ['rename', ['js2', 'js3']],
  ['remove', ['js3', '--yes']],
  ['trash list', []],
  ['trash restore', ['js3']],
  ['evacuate', ['host2', '--yes']],
  ['restore-host', ['host2']],
  ['start', ['js1']],
  ['kill', ['js1']],
  ['remove', ['js1', '--yes']],
  ['put', ['js1', 'host1']],
  ['copies remove', ['js1', '--yes']],
  ['trash empty', ['--yes']],
  ['stats', ['host1', '--since', '1h']],
  ['saga list', []],
  ['host list', []],
  ['net list', []],
  ['net apply', ['--dry-run']],
  ['net apply', []],
  ['net add', ['30', '10.60.30.0/24', '--name', 'red', '--uplink', 'none']],
  ['net show', ['red']],
  ['net up', ['red', '--host', 'host1']],
  ['net down', ['red', '--host', 'host1']],
  ['net check', ['red']],
  ['net check', ['10.60.30.77']],
  ['net map', []],
  ['net remove', ['red']],
  ['host renew', ['host1']],
  ['host token', ['host9']],
  ['doctor', ['host1']],
  ['events', ['-n', '5']],
  ['audit', ['-n', '5']],
  ['listen', ['hosts/#', '--count', '2', '--for', '20']],
  ['logs', ['js1', '-n', '2']],
  ['topics', []],
  ['call --list', []],
];

describe('--json of each verb is what docs/json.md says', () => {
  test.each(life)('%s %j', (verb, args) => {
    const { stdout } = lab.vs([...verb.split(' '), ...args, '--json'], verb === 'doctor' ? null : 0);
    const { schema, lines } = outputs[verb] ?? {};
    const texts = lines ? stdout.split('\n').filter(Boolean) : [stdout];
    for (const text of texts) {
      const value: unknown = JSON.parse(text);
      // what is not told of is taken away by the schema, and seen here
      expect(schema?.parse(value)).toEqual(value);
    }
  });

  test('a saga by its id', () => {
    const [saga] = JSON.parse(lab.vs(['saga', 'list', '--json']).stdout) as { id: string }[];
    for (const verb of ['show', 'follow'] as const) {
      const value: unknown = JSON.parse(lab.vs(['saga', verb, saga?.id ?? '', '--json'], null).stdout);
      expect(outputs[`saga ${verb}`]?.schema.parse(value)).toEqual(value);
    }
  });

  test('what fails prints nothing for programs but its sentence and its code', () => {
    for (const [args, code] of [
      [['show', 'nothing'], 1],
      [['scan', '--host', 'Host_1'], 2],
      [['start', '--json', 'js1', '--all'], 2],
    ] as const) {
      const failed = lab.vs([...args, '--json'], code);
      expect(failed.stdout).toBe('');
      expect(failed.stderr).toMatch(/^vs: .+\n$/);
    }
  });
});
