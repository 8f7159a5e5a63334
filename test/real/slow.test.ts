import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { realLab } from './lab-kit.ts';

const full = process.env['VS_TEST_FULL'] === '1';
if (!full) console.log('moves over a slow link on dir only with VS_TEST_FULL=1: a minute more');

/** Names, kinds, rights, sizes and contents of the tree of web1, by other tools than those that copy. */
const tree = `cd /var/lib/vservers/web1/rootfs
find . -not -path './proc*' -not -path './dev*' -not -path './run*' -printf '%P %y %m %U:%G %l\\n' | LC_ALL=C sort
find . -xdev -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum`;

describe.each(full ? (['btrfs', 'dir'] as const) : (['btrfs'] as const))('a slow link, %s', (storage) => {
  const lab = realLab(`slow${storage}`);
  /** The command line on host2 itself, with the slow link between it and the broker. */
  const far = (script: string) =>
    lab.on(
      'host2',
      `export VS_BROKER_USER=operator VS_BROKER_PASSWORD_FILE=/var/lib/vslab-${lab.name}/secrets/operator
vs() { ${new URL('../../vs', import.meta.url).pathname} "$@"; }
${script}`,
    );
  const lost = () =>
    Number(/([\d.]+)% packet loss/.exec(lab.on('host2', 'ping -q -c 40 -i 0.05 10.98.0.1', null))?.[1]);

  beforeAll(() => {
    lab.up('--storage', storage);
    lab.vs(['create', 'web1', '10.60.10.5', 'busybox', '--host', 'host1', '--start']);
  });
  afterAll(() => lab.down());

  test('is slow both ways until it is switched off, killed, or made anew', () => {
    const trip = () =>
      Number(/= [\d.]+\/([\d.]+)\//.exec(lab.on('host2', 'ping -q -c 5 -i 0.1 10.98.0.1'))?.[1]);
    const slow = (...words: string[]) => lab.vs(['lab', 'slow', '--name', lab.name, 'host2', ...words]);
    const shown = () => lab.vs(['lab', 'status', '--name', lab.name]).stdout.includes(', slow');
    expect(trip()).toBeLessThan(100);
    slow('--loss', '0%');
    expect(trip()).toBeGreaterThanOrEqual(200);
    expect(shown()).toBe(true);
    slow('--delay', '10ms', '--loss', '50%');
    expect(lost()).toBeGreaterThan(30);
    slow('--off');
    expect(trip()).toBeLessThan(100);
    expect(shown()).toBe(false);
    expect(lost()).toBe(0);
    slow();
    lab.vs(['lab', 'kill', '--name', lab.name, 'host2']);
    lab.vs(['lab', 'boot', '--name', lab.name, 'host2']);
    expect(trip()).toBeLessThan(100);
  });

  test('commands answer, each is carried out once, and moves keep the tree', () => {
    lab.vs(['lab', 'slow', '--name', lab.name, 'host2', '--delay', '200ms', '--loss', '5%']);
    const before = lab.on('host1', tree);
    expect(lab.vs(['move', 'web1', 'host2']).stdout).toContain('web1 runs on host2');
    expect(lab.running('web1')).toEqual(['host2']);
    expect(lab.on('host2', tree)).toBe(before);
    for (let count = 0; count < 4; count++)
      lab.vs(['exec', 'web1', '--', 'sh', '-c', `echo ${count} >> /count`]);
    expect(lab.vs(['exec', 'web1', '--', 'cat', '/count']).stdout).toBe('0\n1\n2\n3\n');
    const answers = far(
      `for n in 1 2; do vs scan | awk '/web1/ { print $2 }' && vs exec web1 -- hostname; done`,
    );
    expect(answers).toBe('web1\nweb1\n'.repeat(2));
    lab.vs(['exec', 'web1', '--', 'rm', '/count']);
    expect(lab.vs(['move', 'web1', 'host1']).stdout).toContain('web1 runs on host1');
    expect(lab.on('host1', tree)).toBe(before);
    expect(lab.running('web1')).toEqual(['host1']);
    expect(lab.rows()).toMatchObject([{ host: 'host1', vserver: 'web1', state: 'running', epoch: 3 }]);
    expect(lab.leftovers()).toEqual([]);
  }, 900_000);
});
