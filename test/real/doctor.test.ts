import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Finding } from '../../shared/contract/doctor.ts';
import { realLab } from './lab-kit.ts';

const lab = realLab('dr');
interface Report {
  target: string;
  findings: Finding[];
}
const doctor = (args: string[], code: number | null = 0) =>
  JSON.parse(lab.vs(['doctor', ...args, '--json'], code).stdout) as Report[];
const notOk = (report: Report | undefined) => (report?.findings ?? []).filter((one) => one.result !== 'ok');
/** What a lab has not, on whatever machine it runs. */
const ofTheMachine = (one: Finding) => ['kernel', 'storage'].includes(one.check) && one.subject !== 'mode';

beforeAll(() => {
  lab.up();
  lab.vs(['create', 'web1', '10.60.10.5', 'busybox', '--host', 'host1', '--start']);
});
afterAll(() => lab.down());

test('a fresh pool is in order: master and hosts, ways between them, clocks', () => {
  const reports = doctor([], null);
  expect(reports.map((one) => one.target)).toEqual(['master', 'host1', 'host2']);
  for (const report of reports) expect(notOk(report).filter((one) => !ofTheMachine(one))).toEqual([]);
  const host1 = reports[1]?.findings ?? [];
  const lxc = lab.on('host1', 'lxc-start --version').trim();
  expect(host1.find((one) => one.subject === 'lxc')?.message).toContain(lxc);
  expect(host1.find((one) => one.check === 'ways')?.message).toContain('host2 can be reached at 10.98.0.12');
  expect(host1.some((one) => one.check === 'clock')).toBe(true);
  const text = lab.vs(['doctor', 'host1'], null).stdout;
  expect(text).toMatch(/^host1\n {2}ok {4}kernel/);
  expect(text).not.toMatch(/^master$/m);
  for (const line of text.split('\n')) expect(line.length).toBeLessThan(140);
});

test('what is wrong is told with what to do, and --fix mends what is safe and nothing else', () => {
  const saga = 'move-mwxblxde4e66';
  lab.on(
    'host1',
    `chmod 755 /var/lib/vservers
mkdir -p /var/lib/vservers/.staging/web9.${saga}/tree /run/vs/web8
echo '{"version":1,"saga":"${saga}","until":9999999999999}' > /var/lib/vs-tools/locks/web9.json
mount --bind /run/vs/web8 /run/vs/web8`,
  );
  const [host1] = doctor(['host1'], 1);
  const found = notOk(host1).filter((one) => !ofTheMachine(one));
  expect(found.map((one) => `${one.check} ${one.subject}`).sort()).toEqual(
    ['orphans web8', `orphans web9.${saga}`, 'orphans web9', 'storage mode'].sort(),
  );
  for (const one of found) expect(one.todo).not.toBe('');
  const [mended] = doctor(['host1', '--fix'], null);
  expect(
    notOk(mended)
      .filter((one) => !ofTheMachine(one))
      .every((one) => one.fixed),
  ).toBe(true);
  const [after] = doctor(['host1'], null);
  expect(notOk(after).filter((one) => !ofTheMachine(one))).toEqual([]);
  expect(lab.on('host1', 'stat -c %a /var/lib/vservers; ls -A /var/lib/vservers/.staging').trim()).toBe(
    '700',
  );
  expect(lab.running('web1')).toEqual(['host1']);
});

test('a host that is away, and a file with a fault, are named', () => {
  lab.on('master', 'echo "nonsense" >> /etc/vs-tools/networks.conf');
  lab.vs(['lab', 'kill', 'host2', '--name', lab.name]);
  lab.vs(['doctor', 'host9'], 1);
  lab.vs(['doctor', 'host1', '--all'], 2);
  const [master] = doctor(['master'], 1);
  const file = master?.findings.find((one) => one.subject === 'networks.conf');
  expect(file).toMatchObject({ result: 'fail', message: expect.stringMatching(/networks\.conf:\d+/) });
  const none = lab.vs(['doctor', 'host2', '--json'], 1).stdout;
  expect((JSON.parse(none) as Report[])[0]?.findings).toMatchObject([{ check: 'agent', result: 'fail' }]);
});
