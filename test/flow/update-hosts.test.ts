import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadSettings } from '../../config/settings.ts';
import { readNote, writeNote } from '../../services/host-agent/update/note.ts';
import { keptPackage, requirePackage } from '../../services/host-agent/update/packages.ts';
import { createUpdate } from '../../services/host-agent/update/update.ts';
import { findPackage, takePackage } from '../../services/orchestrator/packages.ts';
import { channels } from '../../shared/contract/channels.ts';
import type { PackageInfo } from '../../shared/contract/update.ts';
import type { Call, Handlers } from '../../shared/dispatch.ts';
import { createLog } from '../../shared/log.ts';
import { seal, sealKey } from '../../shared/seal.ts';
import { version } from '../../shared/service.ts';
import { realBroker, startVs, until } from './bus-kit.ts';
import { authority } from './tls-kit.ts';
import { transferHost } from './transfer-host.ts';

// What installs is dpkg in a unit of systemd, and neither is played here: an update to its end needs a VM (no row does it yet). Here are a
// host that cannot be updated, the way of a package, and what an agent finds that was cut off in the middle.
const directory = mkdtempSync(join(tmpdir(), 'vslab-update-'));
const root = process.getuid?.() === 0;
const call: Call = {
  id: 'a',
  issuer: 'test',
  signal: new AbortController().signal,
  progress: () => undefined,
};
afterAll(() => rmSync(directory, { recursive: true }));

const architecture = execFileSync('dpkg', ['--print-architecture'], { encoding: 'utf8' }).trim();
/** A real package, small. */
function build(name: string, of: string, arch = architecture): string {
  const tree = mkdtempSync(join(directory, 'tree-'));
  mkdirSync(join(tree, 'DEBIAN'));
  const fields = `Package: ${name}\nVersion: ${of}\nArchitecture: ${arch}\nMaintainer: a <a@b.c>\nDescription: for a test\n`;
  writeFileSync(join(tree, 'DEBIAN/control'), fields);
  chmodSync(join(tree, 'DEBIAN'), 0o755);
  const file = join(directory, `${name}-${of}-${arch}.deb`);
  execFileSync('dpkg-deb', ['--root-owner-group', '--build', tree, file], { stdio: 'ignore' });
  return file;
}
const failing = (what: unknown): Promise<string> =>
  Promise.resolve(what).then(
    () => 'it was done',
    (error: Error) => error.message,
  );

describe('packages', () => {
  const kept = join(directory, 'kept');
  test('the master keeps those of its own version and of ones before, and no others', async () => {
    expect(await takePackage(kept, build('vs-tools', '0.2.0'), '0.2.0')).toBe(
      `vs-tools_0.2.0_${architecture}.deb`,
    );
    expect(statSync(kept).mode & 0o777).toBe(0o700);
    const found = await findPackage(kept, '0.2.0', architecture, '/nonexistent');
    expect(found).toMatchObject({ version: '0.2.0', bytes: statSync(join(kept, found?.file ?? '')).size });
    expect(await findPackage(kept, '0.3.0', architecture, '/nonexistent')).toBeUndefined();
    expect(await failing(takePackage(kept, build('vs-tools', '0.3.0'), '0.2.0'))).toMatch(
      /is vs-tools 0\.3\.0, but the master is 0\.2\.0: upgrade the master first/,
    );
    expect(await failing(takePackage(kept, build('other', '0.2.0'), '0.2.0'))).toContain(
      'a package of other, not of vs-tools',
    );
    const text = join(directory, 'text.deb');
    writeFileSync(text, 'no package');
    expect(await failing(takePackage(kept, text, '0.2.0'))).toContain(`${text} is no Debian package`);
    expect(await failing(takePackage(kept, join(directory, 'none.deb'), '0.2.0'))).toContain(
      'cannot be read',
    );
    expect(await takePackage(kept, build('vs-tools', '0.2.0~rc.1'), '0.2.0')).toBe(
      `vs-tools_0.2.0~rc.1_${architecture}.deb`,
    );
    expect((await findPackage(kept, '0.2.0-rc.1', architecture, '/nonexistent'))?.version).toBe('0.2.0-rc.1');
    expect(readdirSync(kept)).toHaveLength(2);
  });

  test('what apt has fetched counts; a host trusts neither other content nor a directory of others', async () => {
    const [apt, own] = [join(directory, 'apt'), join(directory, 'own')];
    mkdirSync(apt);
    const file = `vs-tools_0.1.0_${architecture}.deb`;
    copyFileSync(build('vs-tools', '0.1.0'), join(apt, file));
    const info = await keptPackage(own, '0.1.0', architecture, apt);
    expect(info?.file).toBe(file);
    expect(await keptPackage(own, '0.0.9', architecture, apt)).toBeUndefined();
    const good = info as PackageInfo;
    expect(await requirePackage(own, good)).toBe(join(own, file));
    chmodSync(own, 0o777);
    expect(await failing(requirePackage(own, good))).toContain(`${own} can be changed by others than root`);
    chmodSync(own, 0o700);
    expect(await failing(requirePackage(own, { ...good, version: '0.1.1' }))).toContain('not vs-tools 0.1.1');
    writeFileSync(join(own, file), Buffer.alloc(good.bytes));
    expect(await failing(requirePackage(own, good))).toContain('its checksum is another one');
  });
});

describe.skipIf(!root)('the way of a package, over TLS', () => {
  const own = authority(directory, 'pool');
  const machine = (name: string, cn = name) => {
    const one = transferHost(directory, name);
    one.settings.PACKAGE_DIR = join(directory, name, 'packages');
    mkdirSync(one.tls, { recursive: true });
    const { cert, key } = own.issue(`of-${name}`, { cn, usage: 'serverAuth,clientAuth' });
    for (const [from, to] of [
      [own.ca, 'ca.pem'],
      [cert, 'host.pem'],
      [key, 'host.key'],
    ] as const)
      copyFileSync(from, join(one.tls, to));
    return { ...one, handlers: one.life().handlers };
  };
  const [host1, master, anna] = [machine('host1'), machine('master'), machine('anna')];
  const saga = 'update-host-1';
  let info: PackageInfo;
  const file = () => join(host1.settings.PACKAGE_DIR, info.file);
  beforeAll(async () => {
    await takePackage(master.settings.PACKAGE_DIR, build('vs-tools', '0.2.0'), '0.2.0');
    await takePackage(anna.settings.PACKAGE_DIR, build('vs-tools', '0.2.0'), '0.2.0');
    info = (await findPackage(
      master.settings.PACKAGE_DIR,
      '0.2.0',
      architecture,
      '/nonexistent',
    )) as PackageInfo;
  });
  async function send(from: typeof master, said: PackageInfo, wrongSecret = false) {
    const opened = await host1.handlers['transfer.open-package']?.(
      { saga, package: said, from: '127.0.0.1' },
      call,
    );
    if (!opened) throw new Error('no endpoint');
    const { address, port } = opened;
    const secret = seal(wrongSecret ? 'guessed' : opened.secret, sealKey(from.settings));
    return from.handlers['transfer.send-package']?.(
      { saga, package: said, toHost: 'host1', address, port, secret },
      call,
    );
  }

  test('it comes whole, with a mode that nobody else can read', async () => {
    expect(await send(master, info)).toMatchObject({ bytes: info.bytes });
    expect(readFileSync(file())).toEqual(readFileSync(join(master.settings.PACKAGE_DIR, info.file)));
    expect(statSync(file()).mode & 0o777).toBe(0o600);
    rmSync(file());
  });
  test('who is not the master sends none, though the pool knows him and he has the secret', async () => {
    expect(await failing(send(anna, info))).toContain(
      'it shows the certificate of anna; that of master was expected',
    );
    expect(await failing(send(master, info, true))).toContain('host1');
    expect(existsSync(file())).toBe(false);
  });
  test('another content, more and less of it than was said is not kept', async () => {
    expect(await failing(send(master, { ...info, sha256: 'a'.repeat(64) }))).toContain('arrived damaged');
    expect(await failing(send(master, { ...info, bytes: info.bytes - 1 }))).not.toBe('it was done');
    expect(await failing(send(master, { ...info, bytes: info.bytes + 1 }))).toContain(
      `${info.bytes} bytes instead of`,
    );
    expect(readdirSync(host1.settings.PACKAGE_DIR)).toEqual([]);
  });
});

describe('a pool', () => {
  let broker: Awaited<ReturnType<typeof realBroker>>;
  beforeAll(async () => {
    broker = await realBroker();
  });
  afterAll(() => broker.close());

  /** The part of an agent that updates, on this machine. */
  async function agent(of: string, state: string) {
    const settings = loadSettings({
      file: '/nonexistent',
      env: {
        ...broker.environment('host1'),
        VS_STATE_DIR: join(directory, state),
        VS_PACKAGE_DIR: join(directory, state, 'packages'),
      },
    });
    mkdirSync(settings.STATE_DIR, { recursive: true });
    const handlers: Handlers = {};
    const bus = await broker.bus('host1', handlers);
    const update = createUpdate({
      settings,
      host: 'host1',
      version: of,
      bus,
      log: createLog('fatal', 'host1'),
    });
    Object.assign(handlers, update.handlers);
    bus.retain(bus.topics.status('host1'), { state: 'online', session: 'a', ts: Date.now() });
    bus.retain(bus.topics.info('host1'), { ...channels['hostInfo']?.example, host: 'host1', version: of });
    return { settings, bus, update };
  }

  test('a host that has no systemd, or no package of vs-tools, is refused by name, and nothing is begun', async () => {
    const { bus, settings } = await agent('0.0.9', 'refused');
    const packages = join(directory, 'refused-master');
    const environment = {
      ...broker.environment('master'),
      VS_STATE_DIR: join(directory, 'master-state'),
      VS_PACKAGE_DIR: packages,
    };
    const service = startVs(['service', 'orchestrator'], { environment });
    try {
      const words = [
        'master',
        'update-hosts',
        'host1',
        '--yes',
        '--package',
        build('vs-tools', version().replace('-', '~')),
      ];
      const run = async (more: string[]) => {
        const { child, said } = startVs([...words, ...more], { environment });
        const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
        return { code, text: said.text };
      };
      let last = await run([]);
      await until(() => service.said.text.includes('running'), 'the orchestrator runs', 30_000);
      for (let tries = 0; last.code === 4 && tries < 5; tries++) last = await run([]);
      expect(last.text).toMatch(
        /(host1 has no systemd as its init \(no \/run\/systemd\/system\)|vs-tools of host1 does not come from the Debian package).*install\.sh/s,
      );
      expect(last.code).toBe(1);
      expect((await run(['--dry-run'])).code).toBe(1);
      expect(readdirSync(packages)).toHaveLength(1); // it is kept for the next time
      expect(
        existsSync(join(directory, 'master-state/sagas'))
          ? readdirSync(join(directory, 'master-state/sagas')).filter((one) => one.endsWith('.jsonl'))
          : [],
      ).toEqual([]);
      const info = {
        file: `vs-tools_0.2.0_${architecture}.deb`,
        version: '0.2.0',
        bytes: 1,
        sha256: 'a'.repeat(64),
      };
      const install = { saga: 's1', package: info, backSeconds: 900 };
      expect(await failing(bus.request('host1', 'host-agent.update-install', install))).toContain(
        'install.sh',
      );
      expect(await readNote(settings)).toBeUndefined();
      const all = startVs(['master', 'update-hosts', '--all', '--yes'], { environment });
      const code = await new Promise<number | null>((resolve) => all.child.once('close', resolve));
      expect([code, all.said.text]).toEqual([
        1,
        expect.stringMatching(/runs on 0 of 1 host now.*host1 stayed.*install\.sh/s),
      ]);
    } finally {
      service.child.kill('SIGTERM');
    }
  }, 90_000);

  test('an agent that starts after an update that was cut off says so once, with an alert until it is settled', async () => {
    const listener = await broker.raw('operator-a', [
      'vs/1/hosts/host1/events/#',
      'vs/1/hosts/host1/alerts/#',
    ]);
    const { bus, update, settings } = await agent('0.1.0', 'cut');
    const info = {
      file: `vs-tools_0.2.0_${architecture}.deb`,
      version: '0.2.0',
      bytes: 1,
      sha256: 'a'.repeat(64),
    };
    await writeNote(settings, {
      version: 1,
      saga: 's1',
      from: '0.1.0',
      to: '0.2.0',
      package: info,
      started: 1,
    });
    writeFileSync(
      join(settings.STATE_DIR, 'update.log'),
      '(Reading database ... 5%\ndpkg: error: no space\n',
    );
    update.start();
    const events = () => listener.heard.filter(({ body }) => body['event'] === 'update-failed');
    await until(() => events().length > 0, 'the event', 30_000);
    const sentence =
      'vs-tools 0.2.0 was not installed on host1: dpkg knows no vs-tools here any more: dpkg: error: no space';
    expect(events()[0]?.body).toMatchObject({ message: sentence, saga: 's1' });
    const alerts = () => listener.on('vs/1/hosts/host1/alerts/host/update');
    await until(() => alerts().length > 0, 'the alert', 30_000);
    expect(alerts()[0]?.body).toMatchObject({ severity: 'critical', message: sentence });
    await until(
      () => readFileSync(join(settings.STATE_DIR, 'update.json'), 'utf8').includes('"told"'),
      'the note',
    );
    update.start(); // as after another restart
    expect(await bus.request('host1', 'host-agent.update-look', { saga: 's1' })).toMatchObject({
      version: '0.1.0',
      stage: 'failed',
    });
    expect(await bus.request('host1', 'host-agent.update-look', { saga: 's2' })).toMatchObject({
      stage: 'none',
    });
    await bus.request('host1', 'host-agent.update-settle', { saga: 's1' });
    await until(() => alerts().at(-1)?.text === '', 'the alert ends', 30_000);
    expect(events()).toHaveLength(1);
    expect((await readNote(settings))?.settled).toBe(true);
  });
});
