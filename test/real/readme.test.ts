import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const root = new URL('../..', import.meta.url).pathname;
const lab = 'readme';
const [, block = ''] =
  /## By hand\n```\n([\s\S]*?)\n```/.exec(readFileSync(`${root}README.md`, 'utf8')) ?? [];
const lines = block.split('\n').map((line) => line.replace(/ +# .*/, ''));

/** What a person does at a line: a lab of another name than theirs, `exit` in a shell, ctrl-C to what never ends. */
function byHand(line: string): string {
  const named = line.replaceAll(/\.\/vs lab (\w+)/g, `./vs lab $1 --name ${lab}`);
  if (line.startsWith('./vs enter '))
    return `script -qec ${JSON.stringify(named)} /dev/null < <(sleep 5; echo exit; sleep 5)`;
  if (line.startsWith('mosquitto_sub ')) return `timeout --preserve-status -s INT 3 ${named}`;
  return named;
}

let place = '';
beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), 'vslab-readme-'));
  symlinkSync(`${root}vs`, join(place, 'vs'));
  mkdirSync(join(place, 'site'));
  writeFileSync(join(place, 'site/index.html'), 'hello\n');
});
afterAll(() => {
  spawnSync(`${root}vs`, ['lab', 'down', '--name', lab]);
  rmSync(place, { recursive: true, force: true });
});

test('the README by hand, in its order, word by word', { timeout: 900_000 }, () => {
  expect(lines.length).toBeGreaterThan(20);
  expect(lines[0]).toBe('./vs lab up');
  expect(lines.at(-1)).toBe('./vs lab down');
  const script = lines.map(
    (line, number) =>
      `echo '@ ${number}'\n${byHand(line)}\ncode=$?; [ $code = 0 ] || { echo "@ exit $code"; exit 1; }\n`,
  );
  const { stdout, stderr } = spawnSync('bash', ['-c', script.join('')], {
    cwd: place,
    encoding: 'utf8',
    timeout: 880_000,
    env: { ...process.env, EDITOR: 'true', NO_COLOR: '1', TERM: 'xterm' },
  });
  const said = stdout.split(/^@ /m);
  const [reached, ...last] = (said.findLast((one) => /^\d/.test(one)) ?? '').split('\n');
  expect(stdout, `${lines[Number(reached)]}: ${last.join('\n')}${stderr}`).not.toContain('@ exit');
  expect(Number(reached)).toBe(lines.length - 1);
  const saidOf = (begin: string): string =>
    said.find((one) => one.startsWith(`${lines.findIndex((line) => line.startsWith(begin))}\n`)) ?? '';
  expect(saidOf('./vs exec web1')).toContain('Linux');
  expect(saidOf('./vs move web1 host2')).toContain('web1 runs on host2');
  expect(saidOf('mosquitto_sub')).toContain('vs/1/hosts/host2/vservers/web1/state');
  expect(saidOf('./vs scan')).toMatch(/shop +running/);
  expect(saidOf('./vs lab down')).toContain('nothing of it is left');
});
