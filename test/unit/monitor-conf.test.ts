import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseMonitor } from '../../config/monitor.ts';
import { parseHostMonitor } from '../../config/monitor/host.ts';
import { withMonitoring } from '../../config/monitor/switch.ts';

const parse = (text: string) => parseMonitor(text, 'm');
const rule = (text: string) => parse(text).rules[0];
function faults(text: string): string[] {
  try {
    parse(text);
    return [];
  } catch (error) {
    return (error as Error).message.split('\n');
  }
}

describe('monitor.conf', () => {
  test('the classic lines as they are', () => {
    const config = parse(`# the classic
MONITOR_MAILTO="root anna@example.org"
MONITOR_POOLING=30
RSS_THRESHOLD=90
DISK_THRESHOLD=85 # percent
TMPFS_THRESHOLD='80'
export PROC_THRESHOLD=70
LOADAVG_1_THRESHOLD=8
LOADAVG_5_THRESHOLD=4
LOADAVG_15_THRESHOLD=
MONITOR_RSS_HITS=yes
MONITOR_PROC_HITS=1
MONITOR_SOCKETS=no
`);
    expect(config).toMatchObject({
      enabled: true,
      mailto: ['root', 'anna@example.org'],
      pollSeconds: 30,
      daemons: [],
    });
    expect(config.rules.map(({ check, threshold, hits, line }) => [check, threshold, hits, line])).toEqual([
      ['memory', 90, 1, 4],
      ['disk', 85, 1, 5],
      ['tmp', 80, 1, 6],
      ['processes', 70, 1, 7],
      ['load-1', 8, 1, 8],
      ['load-5', 4, 1, 9],
      ['memory-hits', 1, 1, 11],
      ['process-hits', 1, 1, 12],
    ]);
    expect(config.sockets).toBeUndefined();
  });

  test('hits, clear and severity, of the file or of a line; the order of lines does not matter', () => {
    expect(rule('RSS_THRESHOLD=90 hits=3 clear_hits=2 clear=80 severity=critical')).toMatchObject({
      threshold: 90,
      clear: 80,
      hits: 3,
      clearHits: 2,
      severity: 'critical',
    });
    expect(
      rule(
        'RSS_THRESHOLD=50\nMONITOR_HITS=4\nMONITOR_CLEAR_HITS=5\nMONITOR_CLEAR=10\nMONITOR_SEVERITY=critical',
      ),
    ).toMatchObject({ hits: 4, clearHits: 5, clear: 45, severity: 'critical' });
    expect(rule('DISK_FULL_IN=3h')).toMatchObject({ threshold: 10_800, clear: 11_340, below: true });
    expect(rule('IO_READ_THRESHOLD=10M')).toMatchObject({ threshold: 10 * 1024 * 1024 });
    expect(parse('MONITOR_SOCKETS=yes settle=5 keep=1d unix=yes').sockets).toEqual({
      settle: 5,
      keep: 86_400,
      unix: true,
    });
  });

  test('daemons', () => {
    const { daemons, rules } = parse(
      `DAEMON=nginx process=nginx min=1 tcp=80 http=http://localhost/health expect=200,204 exec="/usr/local/bin/check -v" timeout=5s hits=2
DAEMON=db tcp=[::1]:5432`,
    );
    expect(daemons).toEqual([
      {
        name: 'nginx',
        process: 'nginx',
        min: 1,
        tcp: { address: '127.0.0.1', port: 80 },
        http: { address: '127.0.0.1', port: 80, host: 'localhost', path: '/health' },
        expect: [200, 204],
        exec: ['/usr/local/bin/check', '-v'],
        timeoutMs: 5000,
      },
      { name: 'db', min: 1, tcp: { address: '::1', port: 5432 }, expect: [], timeoutMs: 5000 },
    ]);
    expect(rules.map(({ check, hits }) => [check, hits])).toEqual([
      ['daemon-nginx', 2],
      ['daemon-db', 1],
    ]);
  });

  test.each([
    ['RSS_THRESHOLD=900', 'm:1:15: found "900", expected a number of percent from 0.01 to 100, or off'],
    ['\n  RSS_TRESHOLD=90', /^m:2:3: found "RSS_TRESHOLD", expected one of MONITOR_ENABLE, /],
    ['RSS_THRESHOLD=90 hits=0', 'm:1:23: found "0", expected a whole number from 1 to 1000'],
    ['RSS_THRESHOLD=90 hit=3', 'm:1:18: found "hit", expected one of hits, clear_hits, severity, clear'],
    ['RSS_THRESHOLD=90 clear=95', 'm:1:24: found "95", expected no more than 90'],
    ['DISK_FULL_IN=3h clear=1h', 'm:1:23: found "1h", expected no less than 3h'],
    ['RSS_THRESHOLD=90\nRSS_THRESHOLD=80', 'm:2:1: found "RSS_THRESHOLD", expected RSS_THRESHOLD only once'],
    ['RSS_THRESHOLD = 90', /^m:1:1: found "RSS_THRESHOLD", expected NAME=value/],
    ['MONITOR_MAILTO="x\ty;z"', /^m:1:16: found "x\?y;z", expected at most 20 mail addresses/],
    ['MONITOR_MAILTO=$(id)', /^m:1:16: /],
    ['DAEMON=a', 'm:1:1: found "a", expected what to check: process=, tcp=, http= or exec='],
    ['DAEMON=a http=https://localhost/', /^m:1:15: .*expected http:\/\/localhost\/path/],
    ['DAEMON=a http=http://example.org/', /^m:1:15: /],
    ['DAEMON=a tcp=99999', /^m:1:14: found "99999", expected a port/],
    ['DAEMON=a tcp=example.org:80', /^m:1:14: /],
    ['DAEMON=a exec=check', /^m:1:15: found "check", expected the absolute path/],
    ['DAEMON=a tcp=80 expect=200', 'm:1:17: found "expect", expected http= with it'],
    ['DAEMON=a tcp=80 again=now', /^m:1:17: found "again", expected one of process, /],
    ['DAEMON=a tcp=80 restart=now', /^m:1:25: found "now", expected systemctl:UNIT, service:NAME or exec:/],
    ['DAEMON=a tcp=80 restart=systemctl:-rf', /^m:1:25: /],
    ['DAEMON=a tcp=80 restart="service:a b"', /^m:1:25: /],
    ['DAEMON=a tcp=80 restart=exec:relative', /^m:1:25: /],
    ['DAEMON=a tcp=80 restarts=3', 'm:1:17: found "restarts", expected restart= with it'],
    ['MEND_PAUSE=25:00-04:00', /^m:1:12: found "25:00-04:00", expected a time such as/],
    ['MEND_PAUSE="fun 22:00-04:00"', /^m:1:12: /],
    ['RESTART_PER_HOUR=0', /^m:1:18: /],
    ['DAEMON=A/b tcp=80', /^m:1:8: found "A\/b", expected a name of small letters/],
    ['DAEMON=a process=x min=3 max=2', 'm:1:30: found "2", expected at least min, 3'],
    ['__proto__=1', /^m:1:1: found "__proto__"/],
    ['x'.repeat(70_000), /^m:1:1: found 70000 characters/],
  ])('a fault is named: %j', (text, expected) => {
    const found = faults(text);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(expected);
  });

  test('all faults at once, in their order, but not without end', () => {
    expect(faults('RSS_THRESHOLD=x\nNONSENSE=1\nMONITOR_POOLING=x').map((one) => one.slice(0, 4))).toEqual([
      'm:1:',
      'm:2:',
      'm:3:',
    ]);
    expect(faults('A\n'.repeat(300))).toHaveLength(51);
  });

  test('switched on and off in its own line, and nothing else changes', () => {
    const text = '# mine\nRSS_THRESHOLD=90\n';
    const off = withMonitoring(text, false);
    expect(off).toBe(`MONITOR_ENABLE=no\n${text}`);
    expect(parse(off).enabled).toBe(false);
    expect(withMonitoring(off, true)).toBe(`MONITOR_ENABLE=yes\n${text}`);
    expect(withMonitoring(text, true)).toBe(text);
    expect(withMonitoring('RSS_THRESHOLD=1\n MONITOR_ENABLE="yes" # why\n', false)).toBe(
      'RSS_THRESHOLD=1\n MONITOR_ENABLE=no # why\n',
    );
  });

  test('the samples have no faults, with and without their comment signs', () => {
    const uncommented = (text: string) => text.replaceAll(/^#(?=[A-Z])/gm, '');
    const vserver = readFileSync('config/samples/monitor.conf', 'utf8');
    expect(parse(vserver).rules.length).toBeGreaterThan(2);
    expect(parse(uncommented(vserver)).daemons.length).toBeGreaterThan(0);
    const host = readFileSync('config/samples/host-monitor.conf', 'utf8');
    expect(parseHostMonitor(uncommented(host), 'h').rules.length).toBeGreaterThan(4);
  });

  test('a host is watched without a file; what its file names is as it says', () => {
    const checks = (text: string) =>
      parseHostMonitor(text, 'h').rules.map(({ check, threshold }) => [check, threshold]);
    expect(checks('')).toEqual([
      ['memory', 95],
      ['disk', 90],
      ['swap', 90],
      ['certificate', 14 * 86_400],
      ['pool-data', 85],
      ['pool-metadata', 80],
      ['raid', 1],
      ['smart', 1],
      ['links', 1],
    ]);
    expect(checks('MEM_THRESHOLD=50\nSWAP_THRESHOLD=off\nMONITOR_LINKS=no')).toEqual([
      ['memory', 50],
      ['disk', 90],
      ['certificate', 14 * 86_400],
      ['pool-data', 85],
      ['pool-metadata', 80],
      ['raid', 1],
      ['smart', 1],
    ]);
    expect(() => parseHostMonitor('DAEMON=a tcp=80', 'h')).toThrow(/^h:1:1: /);
    expect(() => parseHostMonitor('RSS_THRESHOLD=80', 'h')).toThrow(/^h:1:1: /);
  });
});
