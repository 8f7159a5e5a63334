import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { classics } from '../../cli/classic/table.ts';
import { verbs } from '../../cli/main.ts';
import { candidatesScript } from '../../deploy/package/completion.ts';
import { changelogFile, controlFile, debianArchitecture, depends } from '../../deploy/package/control.ts';
import { placed } from '../../deploy/package/files.ts';
import { copyrightFile } from '../../deploy/package/licences.ts';
import { troff, verbPage } from '../../deploy/package/man.ts';
import { evenSbom, isVersion, releaseChangelog, sectionOf, unexplained } from '../../deploy/package/notes.ts';
import { pages } from '../../deploy/package/pages.ts';
import { wordsOf } from '../../deploy/package/words.ts';
import { tools } from '../../services/doctor/tools.ts';
import { serviceNames } from '../../shared/service.ts';

const root = new URL('../..', import.meta.url).pathname;
const unit = (name: string) => readFileSync(`${root}/deploy/package/files/units/vs-${name}.service`, 'utf8');

test('the control file says what is needed, and has a form that dpkg reads', () => {
  const text = controlFile({ version: '1.2.0', architecture: 'amd64', installedKb: 140_000 });
  expect(text).toMatch(/^Package: vs-tools\nVersion: 1\.2\.0\nArchitecture: amd64\n/);
  expect(text).toMatch(/^Depends: .*lxc.*rsync.*nftables.*iproute2/m);
  expect(text).toMatch(/^Recommends: .*btrfs-progs.*lvm2.*mmdebstrap.*restic/m);
  for (const line of text.trimEnd().split('\n')) expect(line).toMatch(/^([A-Z][A-Za-z-]*: \S| \S)/);
  expect(text.endsWith('\n')).toBe(true);
  expect([debianArchitecture('x64'), debianArchitecture('arm64')]).toEqual(['amd64', 'arm64']);
  expect(() => debianArchitecture('ia32')).toThrow('no package for the processor ia32');
  expect(changelogFile('1.2.0', 0)).toContain('Thu, 01 Jan 1970 00:00:00 +0000');
});

test('all that the doctor of a host asks for is a dependency of the package, or part of every Debian', () => {
  const names = new Set(depends.map((one) => one.split(' ')[0]));
  const missing = Object.values(tools).filter(({ packaged }) => !names.has(packaged) && packaged !== 'tar');
  expect(missing).toEqual([]);
});

test('the units start every service there is, once', () => {
  const started = ['broker', 'master', 'agent'].flatMap(
    (name) => /^ExecStart=\/usr\/lib\/vs-tools\/vs service (.+)$/m.exec(unit(name))?.[1]?.split(' ') ?? [],
  );
  // master-archive runs in the process of the scheduler, which alone asks it
  const own = serviceNames.filter((name) => name !== 'master-archive');
  expect(started.toSorted()).toEqual(['broker', ...own].toSorted());
});

test('the agent leaves its vservers alone, and nothing is set that their guests would inherit', () => {
  const agent = unit('agent');
  expect(agent).toMatch(/^KillMode=process$/m);
  expect(agent).not.toMatch(
    /^(ProtectSystem|ProtectHome|PrivateTmp|PrivateMounts|PrivateDevices|NoNewPrivileges|SystemCallFilter|Restrict\w+|ProtectKernel\w+|ProtectProc|ReadOnlyPaths)=/m,
  );
  for (const name of ['broker', 'master', 'agent']) {
    expect(unit(name)).toMatch(/^Type=notify$/m);
    expect(unit(name)).toMatch(/^WatchdogSec=\d+$/m);
    expect(unit(name)).toMatch(/^Restart=always$/m);
  }
});

test('what is placed elsewhere is there, and no settings that vs itself writes are among it', () => {
  for (const [to, from] of Object.entries(placed)) expect(existsSync(`${root}/${from}`), to).toBe(true);
  expect(Object.keys(placed)).not.toContain('etc/vs-tools/vs-tools.conf'); // "vs master init" leaves one that is there
  expect(Object.keys(placed)).not.toContain('etc/vs-tools/networks.conf'); // "vs net" writes it
});

test('every verb and every name of 2007 has a manual page', async () => {
  const files = await pages('1.2.0');
  const names = ['vs.1', ...Object.keys(verbs).map((verb) => `vs-${verb}.8`)];
  for (const name of [...names, ...Object.keys(classics).map((one) => `${one}.8`)])
    expect(Object.keys(files).filter((path) => path.endsWith(`/${name}`))).toHaveLength(1);
  const move = files['usr/share/man/man8/vs-move.8'] ?? '';
  expect(move).toContain('.SH SYNOPSIS\n.B vs move [options] <name> <host>');
  expect(move).toContain('\\-\\-crash\\-consistent');
  expect(move).toContain('vs move web1 host2 \\-\\-dry\\-run');
  expect(move).toContain('\\-\\-dst_host'); // the flags of 2007
  expect(move).toContain('/usr/share/doc/vs\\-tools/docs');
});

test('a line that begins with a dot is no request to troff', () => {
  expect(troff(".so /etc/passwd\n'x\\y - a")).toBe("\\&.so /etc/passwd\n\\&'x\\ey \\- a");
  const page = verbPage(new Command('odd').description('.TH bad'), '1');
  expect(page.match(/^\.TH/gm)).toHaveLength(1);
});

const program = () => {
  const vs = new Command('vs');
  const fw = vs.command('fw');
  fw.command('test').argument('<name>').argument('<packet...>').option('--host <host>').option('--send');
  vs.command('move').argument('<name>').argument('<host>').option('--dry-run');
  vs.command('start').argument('[name...]').option('-n, --lines <number>');
  vs.command('import').argument('<file>');
  return wordsOf(vs);
};
/** As a shell asks; `vs` is what stands for the pool. */
const candidates = (...words: string[]): string[] => {
  const names = `vs() { case $1 in scan) echo '"vserver": "web1",'; echo '"vserver": "db-1",';; host) echo '"host": "host1",';; esac; }\ntimeout() { shift; "$@"; }\n`;
  const answer = execFileSync('sh', ['-c', names + candidatesScript(program()), 'candidates', ...words]);
  return answer.toString().split('\n').filter(Boolean);
};

test('completion knows verbs, options, and the names of the pool', () => {
  expect(candidates('')).toEqual(['fw', 'import', 'move', 'start']);
  expect(candidates('m')).toEqual(['move']);
  expect(candidates('fw', '')).toEqual(['test']);
  expect(candidates('move', '--d')).toEqual(['--dry-run']);
  expect(candidates('move', '')).toEqual(['db-1', 'web1']);
  expect(candidates('move', 'we')).toEqual(['web1']);
  expect(candidates('move', '--dry-run', 'web1', '')).toEqual(['host1']);
  expect(candidates('move', 'web1', 'host1', '')).toEqual([]);
  expect(candidates('start', 'web1', 'db-1', '')).toEqual(['db-1', 'web1']);
  expect(candidates('start', '-n', '')).toEqual([]);
  expect(candidates('fw', 'test', '--host', 'h')).toEqual(['host1']);
  expect(candidates('fw', 'test', '--host', 'host1', '')).toEqual(['db-1', 'web1']);
  expect(candidates('fw', 'test', '--host=host1', 'w')).toEqual(['web1']);
  expect(candidates('import', '/e')).toEqual([':file']);
  expect(candidates('start', '--', '--')).toEqual([]);
  expect(candidates('$(touch /nowhere)', '`x`', '* ')).toEqual([]);
});

test('each text of a licence stands once, with all that are under it', () => {
  const one = { version: '1.0.0', licence: 'MIT', text: 'Do what you like.' };
  const text = copyrightFile([
    { ...one, path: 'node_modules/a', name: 'a' },
    { ...one, path: 'node_modules/b', name: 'b' },
  ]);
  expect(text.match(/Do what you like/g)).toHaveLength(1);
  expect(text).toContain('a 1.0.0: MIT\nb 1.0.0: MIT\n');
});

test('vs-tools needs at most 25 packages by itself', () => {
  const own = JSON.parse(readFileSync(`${root}/package.json`, 'utf8')) as {
    dependencies: Record<string, string>;
    optionalDependencies: Record<string, string>;
  };
  const names = [...Object.keys(own.dependencies), ...Object.keys(own.optionalDependencies)];
  expect(names.length).toBeLessThanOrEqual(25);
});

describe('a release', () => {
  const changelog = '# Changelog\n\n## Unreleased\n- new\n\n## 0.1.0 (2026-01-02)\n- old\n- older\n';

  test('takes what is unreleased, once', () => {
    const released = releaseChangelog(changelog, '0.2.0', '2026-11-27');
    expect(released).toContain('## Unreleased\n\n## 0.2.0 (2026-11-27)\n- new\n\n## 0.1.0 (2026-01-02)\n');
    expect(sectionOf(released, '0.2.0')).toBe('- new');
    expect(sectionOf(released, '0.1.0')).toBe('- old\n- older');
    expect(sectionOf(released, '0.1')).toBeUndefined();
    expect(() => releaseChangelog(released, '0.2.0', '2026-11-27')).toThrow('0.2.0 already');
    expect(() => releaseChangelog(released, '0.3.0', '2026-11-27')).toThrow('nothing under');
    expect(['1.2.0', '1.2.0-rc.1'].every(isVersion)).toBe(true);
    expect(['1.2', 'v1.2.0', '1.2.0 ', '1.2.0;x', ''].some(isVersion)).toBe(false);
  });

  test('has the same SBOM each time', () => {
    const of = (serialNumber: string, timestamp: string) =>
      evenSbom(
        JSON.stringify({ serialNumber, metadata: { timestamp, tools: [] }, components: [{ name: 'zod' }] }),
        86_400,
      );
    const one = of('urn:uuid:1', '2026-01-01T00:00:00Z');
    expect(of('urn:uuid:2', '2026-02-02T00:00:00Z')).toBe(one);
    expect(JSON.parse(one)).toMatchObject({
      serialNumber: expect.stringMatching(/^urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/) as string,
      metadata: { timestamp: '1970-01-02T00:00:00.000Z', tools: [] },
      components: [{ name: 'zod' }],
    });
  });

  test('is stopped by an advisory that nobody explained, and by no answer', () => {
    const url = 'https://github.com/advisories/GHSA-x';
    const vulnerabilities = {
      ws: { severity: 'high', via: [{ title: 'bad', url }] },
      mqtt: { severity: 'high', via: ['ws'] },
    };
    const text = JSON.stringify({ vulnerabilities });
    expect(unexplained(text, {})).toEqual([`ws: high: bad (${url})`]);
    expect(unexplained(text, { [url]: 'not reached' })).toEqual([]);
    expect(unexplained('{"vulnerabilities":{}}', {})).toEqual([]);
    expect(() => unexplained('{"error":{"summary":"no network"}}', {})).toThrow('no network');
  });
});

test.each(['broker', 'master'])('the unit of the %s is confined: at most 5.0', (name) => {
  const argv = ['security', '--offline=true', '--no-pager', '--threshold=50'];
  const file = `${root}/deploy/package/files/units/vs-${name}.service`;
  const judged = spawnSync('systemd-analyze', [...argv, file], { encoding: 'utf8' });
  if (judged.error) return expect(unit(name)).toContain('CapabilityBoundingSet='); // no systemd on this machine
  expect(judged.stdout).toContain('Overall exposure level');
  return expect(judged.status, judged.stdout).toBe(0);
});
