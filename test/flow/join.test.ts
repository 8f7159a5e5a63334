import { X509Certificate, createPrivateKey } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls, createServer } from 'node:tls';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { freePort } from './free-port.ts';
import { type RealMaster, needed, realMaster, until } from './identity-kit.ts';
import { authority } from './tls-kit.ts';

vi.setConfig({ testTimeout: 120_000 });
let master: RealMaster;
beforeAll(async () => {
  master = await realMaster();
  needed(master.init('--name', 'localhost'));
  await master.start('broker');
  await master.start('authority');
}, 60_000);
afterAll(() => master.stop());

const joined = (name: string, secret: string, request: string, address = '192.0.2.50') => ({
  version: 1,
  name,
  secret,
  request,
  address,
});
const entered = (user: string, files: { cert: string; key: string }) =>
  master.enter(user, files).then(
    () => 'entered',
    (error: Error) => error.message,
  );
const wrong = expect.stringContaining('Bad username or password');

test('a host joins by one line: key made there, certificate for its name and address, no password, no trust on first use', async () => {
  const { line, token, secret } = master.token('host1');
  expect(line).toEqual(['join', `localhost:${master.ports.join}`, '--token', token]);
  const ran = master.on('host1', '192.0.2.11', line);
  expect([ran.status, ran.stderr]).toEqual([0, '']);
  expect(ran.stdout).toContain('This machine is the host host1 now.');
  const conf = readFileSync(master.at('host1/vs-tools.conf'), 'utf8');
  expect(conf).toBe(
    `HOST=host1\nBROKER_URL=mqtts://localhost:${master.ports.tls}\nMANAGEMENT_ADDRESS=192.0.2.11\n`,
  );
  const files = master.shown('host1');
  const own = new X509Certificate(files.cert);
  expect(own.subject).toBe('CN=host1');
  expect(own.subjectAltName).toBe('DNS:host1, IP Address:192.0.2.11');
  expect(own.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']); // server and client
  expect(own.checkPrivateKey(createPrivateKey(files.key))).toBe(true);
  expect(statSync(master.at('host1/state/tls/host.key')).mode & 0o777).toBe(0o600);
  expect(await entered('host1', files)).toBe('entered');
  // The key never left, and neither a log nor a file has the secret.
  const everywhere = readdirSync(master.at('master'), { recursive: true, withFileTypes: true })
    .filter((one) => one.isFile())
    .map((one) => readFileSync(`${one.parentPath}/${one.name}`, 'latin1'))
    .join('\n');
  for (const hidden of [secret, files.key.split('\n')[1] ?? 'none'])
    expect([everywhere.includes(hidden), master.log.text.includes(hidden)]).toEqual([false, false]);
  const again = master.on('host1', '192.0.2.11', line); // the same line, the same key
  expect([again.status, again.stderr]).toEqual([0, '']);
  expect(new X509Certificate(master.shown('host1').cert).serialNumber).toBe(own.serialNumber);
});

test('a token counts once: with another key it is refused, and a host of the pool needs --again', () => {
  const { line } = master.token('host2');
  expect(master.on('host2', '192.0.2.12', line).status).toBe(0);
  const other = master.on('thief', '192.0.2.13', line);
  expect(other.status).toBe(1);
  expect(other.stderr).toContain('was used already, with another key');
  const ran = master.vs('host', 'token', 'host2');
  expect([ran.status, ran.stdout]).toEqual([1, '']);
  expect(ran.stderr).toContain('vs host token host2 --again');
  for (const name of ['operator', 'localhost'])
    expect(master.vs('host', 'token', name)).toMatchObject({ status: 1, stdout: '' });
  for (const words of [['Bad_Name'], ['master'], ['host9', '--ttl', '25h'], ['host9', '--ttl', 'long']])
    expect(master.vs('host', 'token', ...words)).toMatchObject({ status: 2, stdout: '' });
});

test('too late, also when nobody listens any more', async () => {
  const { line } = master.token('host3', '--ttl', '1s');
  master.token('host4'); // keeps the listener open
  await sleep(1100);
  const late = master.on('host3', '192.0.2.13', line);
  expect(late.status).toBe(1);
  expect(late.stderr).toMatch(/the token for host3 ended at \d{4}-/);
  const alone = line.map((word) => word.replace(/:\d+$/, ':1')); // a port where nobody is
  const nobody = master.on('host3', '192.0.2.13', alone);
  expect(nobody.status).toBe(1);
  expect(nobody.stderr).toContain('The token ended at');
});

test('a changed fingerprint, a foreign master, one who shows the right authority, and a host that plays the master: nothing is sent', async () => {
  const { line, token } = master.token('host5');
  const [name, , ...rest] = token.split('.');
  const changed = [name, 'A'.repeat(43), ...rest].join('.');
  const ran = master.on('host5', '192.0.2.15', [...line.slice(0, -1), changed]);
  expect(ran.status).toBe(1);
  expect(ran.stderr).toContain('another fingerprint. Nothing was sent');
  const foreign = authority(master.directory, 'foreign').issue('impostor', {
    usage: 'serverAuth',
    names: 'DNS:localhost',
  });
  const real = master.pem('master/state/ca/ca.pem');
  const impostors = {
    'another authority': { cert: readFileSync(foreign.cert, 'utf8'), key: readFileSync(foreign.key, 'utf8') },
    'the real authority behind': {
      cert: readFileSync(foreign.cert, 'utf8') + real,
      key: readFileSync(foreign.key, 'utf8'),
    },
    'a host of the pool': { cert: master.shown('host1').cert + real, key: master.shown('host1').key },
  };
  for (const [who, files] of Object.entries(impostors)) {
    let heard = '';
    const port = await freePort();
    const server = createServer(files, (socket) => {
      socket.on('data', (chunk) => (heard += String(chunk)));
      socket.on('error', () => undefined);
    });
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    // Asynchronous, for the impostor lives in this process.
    const { spawn } = await import('node:child_process');
    const { cli } = await import('./identity-kit.ts');
    const child = spawn(process.execPath, [cli, 'join', `localhost:${port}`, '--token', token], {
      env: { ...process.env, VS_CONFIG_DIR: master.at('host5'), VS_STATE_DIR: master.at('host5/state') },
    });
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const status = await new Promise((resolve) => child.once('close', resolve));
    server.close();
    expect([who, status, heard]).toEqual([who, 1, '']);
    expect(said).toMatch(/another fingerprint|is not to be trusted, so nothing was sent/);
  }
});

test('ten wrong secrets make a token void; without one nobody learns more', async () => {
  const { secret } = master.token('host6');
  const { request } = await master.request('host6');
  const guess = 'x'.repeat(24);
  for (let tries = 1; tries <= 10; tries++)
    expect((await master.ask(joined('host6', guess, request)))?.['message']).toContain(
      `${10 - tries} more tries`,
    );
  expect(await master.ask(joined('host6', secret, request))).toMatchObject({ ok: false });
  expect((await master.ask(joined('nobody', guess, request)))?.['message']).toContain('no valid token');
  await until(() => master.log.text.includes('is void after 10 wrong secrets'), 'the event');
});

test('of a request only the key counts: not its subject; a wrong signature and other kinds of keys are refused', async () => {
  const { secret } = master.token('host7');
  const good = await master.request('host1'); // says to be host1
  const der = Buffer.from(good.request.replaceAll(/-----.*-----/g, ''), 'base64');
  der[der.length - 1] = (der.at(-1) ?? 0) ^ 1;
  const pem = (bytes: Buffer) =>
    `-----BEGIN CERTIFICATE REQUEST-----\n${(bytes.toString('base64').match(/.{1,64}/g) ?? []).join('\n')}\n-----END CERTIFICATE REQUEST-----\n`;
  expect((await master.ask(joined('host7', secret, pem(der))))?.['message']).toContain('signature');
  const rsa = execFileSync('openssl', ['req', '-new', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=host7', '-keyout', '/dev/null'], { stdio: ['ignore', 'pipe', 'ignore'] }).toString(); // prettier-ignore
  expect((await master.ask(joined('host7', secret, rsa)))?.['message']).toContain('EC P-256');
  expect((await master.ask(joined('host7', secret, 'x'.repeat(200))))?.['message']).toContain('PEM');
  for (const address of ['127.0.0.1', '192.0.2.11'])
    expect((await master.ask(joined('host7', secret, good.request, address)))?.['message']).toMatch(
      /cannot have a certificate for .*: that of (master|host1) has it already/,
    );
  const answer = await master.ask(joined('host7', secret, good.request));
  expect(answer?.['ok'], JSON.stringify(answer)).toBe(true);
  const certificate = new X509Certificate(String(answer?.['certificate']));
  expect([certificate.subject, certificate.subjectAltName]).toEqual([
    'CN=host7',
    'DNS:host7, IP Address:192.0.2.50',
  ]);
  const files = { cert: String(answer?.['certificate']), key: good.key };
  expect(await entered('host7', files)).toBe('entered');
  expect(await entered('host1', files)).toEqual(wrong);
});

test('what is too long, no JSON, or of another version is refused, and who is slow is cut off', async () => {
  const { secret } = master.token('host8');
  const { request } = await master.request('host8');
  const slow = connectTls({ port: master.ports.join, host: '127.0.0.1', rejectUnauthorized: false });
  const cut = new Promise((resolve) => slow.once('close', () => resolve('cut')));
  slow.on('error', () => undefined);
  slow.once('secureConnect', () => slow.write('{"version":1,'));
  const drip = setInterval(() => slow.write(' '), 500);
  expect(await master.ask(`${'x'.repeat(20_000)}\n`)).toMatchObject({ ok: false });
  expect(await master.ask('x'.repeat(20_000))).toMatchObject({ ok: false });
  expect(await master.ask('nonsense\n')).toMatchObject({ ok: false });
  for (const change of [{ version: 2 }, { more: 1 }, { address: 'x' }, { name: '../x' }, { request: 7 }])
    expect(await master.ask({ ...joined('host8', secret, request), ...change })).toMatchObject({ ok: false });
  expect(await cut).toBe('cut'); // after 10 s
  clearInterval(drip);
  expect((await master.ask(joined('host8', secret, request, '192.0.2.58')))?.['ok']).toBe(true);
});

test('cut off anywhere between token and answer, the same key comes in, and no other one', async () => {
  const { secret } = master.token('host9');
  const mine = await master.request('host9');
  const other = await master.request('host9');
  const ask = ({ request }: { request: string }) => joined('host9', secret, request, '192.0.2.59');
  for (let round = 0; round < 3; round++) {
    void master.ask(ask(mine), { leave: round === 0 });
    const tokens = () => readFileSync(master.at('master/state/ca/tokens.json'), 'utf8');
    await until(() => /"host9": \{[^}]*"key"/.test(tokens()), 'the use of the token');
    if (round > 0) await sleep(round * 15);
    await master.kill('authority');
    await master.start('authority');
  }
  /** It may not listen yet just after its start. */
  const answered = async (body: object) => {
    for (;;) {
      const one = await master.ask(body);
      if (one) return one;
      await sleep(50);
    }
  };
  expect(await answered(ask(other))).toMatchObject({ ok: false });
  const answer = await answered(ask(mine));
  expect(answer?.['ok'], JSON.stringify(answer)).toBe(true);
  expect(await entered('host9', { cert: String(answer?.['certificate']), key: mine.key })).toBe('entered');
  expect(await master.ask(ask(mine))).toEqual(answer);
});

test('a host that joins again has a new certificate, and its old one counts no more, nor do its connections', async () => {
  const before = master.shown('host1');
  const live = await master.enter('host1', before);
  let gone = false;
  live.on('close', () => (gone = true));
  const { line } = master.token('host1', '--again');
  expect(await entered('host1', before)).toBe('entered'); // until it joins
  const ran = master.on('host1', '192.0.2.11', line);
  expect([ran.status, ran.stderr]).toEqual([0, '']);
  await until(() => gone, 'the end of the old connection');
  expect(await entered('host1', before)).toEqual(wrong);
  expect(await entered('host1', master.shown('host1'))).toBe('entered');
  expect(master.log.text).toContain('it was revoked');
});

test('a removed host is out at once, what it retained is cleared, and its old certificate does not come back with its name', async () => {
  const files = master.shown('host1');
  const live = await master.enter('host1', files, {
    will: {
      topic: 'vs/1/hosts/host1/status',
      payload: Buffer.from('{"state":"offline","session":"s","ts":1}'),
      qos: 1,
      retain: true,
    },
  });
  let gone = false;
  live.on('close', () => (gone = true));
  const retained = (topic: string, body: object) =>
    live.publishAsync(`vs/1/hosts/host1/${topic}`, JSON.stringify(body), { qos: 1, retain: true });
  await retained('status', { state: 'online', session: 's', ts: 1 });
  await retained('vservers/web1/state', { name: 'web1' });
  await retained('alerts/host1/disk', { ts: 1, severity: 'warning', message: 'x' });
  const refused = master.vs('host', 'remove', 'host1', '--yes');
  expect(refused.status).toBe(1);
  expect(refused.stderr).toContain('host1 has the vserver web1');
  expect(gone).toBe(false);
  expect(master.vs('host', 'remove', 'host1').status).toBe(2); // it asks
  const ran = master.vs('host', 'remove', 'host1', '--yes', '--force');
  expect([ran.status, ran.stderr]).toEqual([0, '']);
  expect(ran.stdout).toContain('web1');
  await until(() => gone, 'the end of its connection');
  expect(await entered('host1', files)).toEqual(wrong);
  const left = master.vs('listen', 'hosts/host1/#', '--for', '1', '--json');
  expect(left.stdout).toBe('');
  expect(master.vs('host', 'remove', 'host1', '--yes')).toMatchObject({ status: 1 });
  const { line } = master.token('host1');
  expect(master.on('host1', '192.0.2.11', line).status).toBe(0);
  expect(await entered('host1', files)).toEqual(wrong);
  expect(await entered('host1', master.shown('host1'))).toBe('entered');
});

test('a damaged list of revoked certificates lets no certificate in', async () => {
  const file = master.at('master/state/ca/revoked.json');
  const good = readFileSync(file, 'utf8');
  const viewed = await entered('host2', master.shown('host2'));
  writeFileSync(file, good.slice(0, -9));
  const damaged = await entered('host2', master.shown('host2'));
  writeFileSync(file, good);
  expect([viewed, damaged]).toEqual(['entered', wrong]);
  expect(await entered('host2', master.shown('host2'))).toBe('entered');
});
