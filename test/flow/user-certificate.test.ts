import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RealMaster, needed, realMaster } from './identity-kit.ts';

let master: RealMaster;
beforeAll(async () => {
  master = await realMaster();
  needed(master.init());
  await master.start('broker');
});
afterAll(() => master.stop());
const done = (...words: string[]) => {
  const ran = master.vs(...words);
  expect([ran.status, ran.stderr]).toEqual([0, '']);
  return ran.stdout;
};
const files = (name: string) => ({
  cert: readFileSync(master.at(`out/${name}.pem`), 'utf8'),
  key: readFileSync(master.at(`out/${name}.key`), 'utf8'),
});
const entered = (name: string, shown: { cert: string; key: string }) =>
  master.enter(name, shown).then(
    (client) => client,
    (error: Error) => error.message,
  );

test('a person comes in by a certificate of the pool, which counts for no server, and renews it by the same line', async () => {
  done('user', 'add', 'anna', '--role', 'viewer', '--certificate');
  expect(done('user', 'certificate', 'anna', '--out', master.at('out'), '--days', '2')).toContain(
    'good for 2 days',
  );
  expect(statSync(master.at('out/anna.key')).mode & 0o777).toBe(0o600);
  const first = files('anna');
  const x509 = new X509Certificate(first.cert);
  expect([x509.subject, x509.subjectAltName, x509.keyUsage]).toEqual([
    'CN=anna',
    undefined,
    ['1.3.6.1.5.5.7.3.2'],
  ]);
  const client = await entered('anna', first);
  expect(typeof client).toBe('object');
  done('user', 'certificate', 'anna', '--out', master.at('out'));
  const second = files('anna');
  expect(second.key).toBe(first.key);
  expect(second.cert).not.toBe(first.cert);
  expect(typeof (await entered('anna', second))).toBe('object');
});

test('a removed user is out at once, and its certificates do not come back with its name', async () => {
  done('user', 'add', 'bert', '--role', 'viewer', '--certificate');
  done('user', 'certificate', 'bert', '--out', master.at('out'));
  const client = await entered('bert', files('bert'));
  if (typeof client === 'string') throw new Error(client);
  const gone = new Promise((resolve) => client.once('close', () => resolve('closed')));
  done('user', 'remove', 'bert');
  expect(await gone).toBe('closed');
  done('user', 'add', 'bert', '--role', 'operator', '--certificate');
  expect(await entered('bert', files('bert'))).toMatch(/Bad username or password/);
});

test('with a request the key stays where it is; what is no request, no user or no person is a sentence', async () => {
  done('user', 'add', 'carl', '--role', 'viewer', '--certificate');
  const { key, request } = await master.request('somebody-else');
  writeFileSync(master.at('carl.csr'), request);
  done('user', 'certificate', 'carl', '--request', master.at('carl.csr'), '--out', master.at('out'));
  const cert = readFileSync(master.at('out/carl.pem'), 'utf8');
  expect(new X509Certificate(cert).subject).toBe('CN=carl'); // not what the request says
  expect(typeof (await entered('carl', { cert, key }))).toBe('object');
  writeFileSync(master.at('bad.csr'), 'x'.repeat(100_000));
  done('user', 'add', 'host9', '--role', 'agent', '--certificate');
  const cases: [string[], number, RegExp][] = [
    [['carl', '--request', master.at('bad.csr')], 1, /no certificate request in PEM/],
    [['carl', '--request', '/none.csr'], 2, /The request \/none\.csr cannot be read/],
    [['carl', '--days', '0'], 2, /--days is a whole number from 1 to 825/],
    [['nobody'], 1, /There is no user nobody/],
    [['host9'], 1, /vs host token host9/],
    [['master'], 1, /vs master init/],
    [['../x'], 2, /x/],
  ];
  for (const [words, status, says] of cases) {
    const ran = master.vs('user', 'certificate', ...words, '--out', master.at('out'));
    expect([words, ran.status, ran.stderr]).toEqual([words, status, expect.stringMatching(says)]);
  }
});
