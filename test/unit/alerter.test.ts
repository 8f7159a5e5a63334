import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { createTransport } from 'nodemailer';
import { describe, expect, test } from 'vitest';
import { alertsText } from '../../cli/alert-text.ts';
import { parseFrom } from '../../cli/verbs/alert.ts';
import { parseAlerts } from '../../config/alerts.ts';
import { hostKinds, vserverKinds } from '../../config/monitor/kinds.ts';
import { loadSettings } from '../../config/settings.ts';
import { adviceOf, ofOthers } from '../../services/alerter/advice.ts';
import { ofHost, ofVserver } from '../../services/alerter/advice-monitor.ts';
import { digestText, isDigestDue } from '../../services/alerter/daily.ts';
import { openMailto } from '../../services/alerter/heard.ts';
import { outcomeOf, smtpOptions } from '../../services/alerter/mail.ts';
import { webhookBody } from '../../services/alerter/outputs.ts';
import { acknowledge, silenced, unsilenced } from '../../services/alerter/people.ts';
import { type Outcome, type Queued, openQueue } from '../../services/alerter/queue.ts';
import { type Facts, noFacts } from '../../services/alerter/parts.ts';
import { render } from '../../services/alerter/render.ts';
import { fits, isSilent, routeOf } from '../../services/alerter/route.ts';
import { type Message, type Notice, emptyState } from '../../services/alerter/state.ts';
import { together, wrap } from '../../services/alerter/text.ts';

const about = {
  target: 'host1',
  subject: 'web1',
  host: 'host1',
  check: 'disk',
  severity: 'warning' as const,
};
const noticeOf = (more: Partial<Notice['incident']> = {}, kind: Notice['kind'] = 'begin'): Notice => ({
  kind,
  incident: { id: 'i1', ...about, message: 'disk is full', began: 1_764_086_400_000, count: 1, ...more },
});
const messageOf = (notices: Notice[], more: Partial<Message> = {}): Message => ({
  id: 'm1',
  seq: 1,
  channel: 'mail:admin@example.org',
  at: 1_764_086_400_000,
  notices,
  more: 0,
  ...more,
});
const rendered = (message: Message, facts: Facts = noFacts()) =>
  render(message, facts, { host: 'master', perHour: 30 });

describe('alerts.conf', () => {
  test('lines of each kind', () => {
    const text = `# who is told
mail a@x.org,b@x.org vserver=web* severity=critical   # at night
webhook https://ntfy.example.org/alerts format=ntfy token-file=/etc/vs-tools/t host=host1
exec check=disk -- /usr/local/bin/sms "+49 123" it's ok'
maintenance host=host1 days=sat,sun time=22:00-04:00
`;
    expect(parseAlerts(text, 'alerts.conf')).toEqual([
      { kind: 'mail', to: ['a@x.org', 'b@x.org'], filter: { vserver: 'web*', severity: 'critical' } },
      {
        kind: 'webhook',
        url: 'https://ntfy.example.org/alerts',
        format: 'ntfy',
        tokenFile: '/etc/vs-tools/t',
        filter: { host: 'host1' },
      },
      { kind: 'exec', argv: ['/usr/local/bin/sms', '+49 123', 'its ok'], filter: { check: 'disk' } },
      { kind: 'maintenance', days: [6, 0], from: 1320, until: 240, filter: { host: 'host1' } },
    ]);
  });
  test.each([
    ['mial a@x.org', '1:1: expected mail, webhook, exec or maintenance'],
    ['\nmail  nobody', '2:7: "nobody" is no mail address'],
    ['mail a@x.org,b@@x.org', '1:6: "a@x.org,b@@x.org" is no mail address'],
    ['mail', '1:1: expected mail ADDRESS'],
    ['mail a@x.org severity=bad', '1:14: severity is warning or critical'],
    ['mail a@x.org host=a host=b', '1:21: a second host='],
    ['webhook ftp://x', '1:9: expected one http'],
    ['webhook https://x format=xml', '1:19: format is json, ntfy, gotify'],
    ['exec -- sms', '1:9: the program is an absolute path'],
    ['exec /bin/true', '1:1: expected exec'],
    ['maintenance time=25:00-04:00', '1:13: time= is FROM-UNTIL'],
    ['maintenance days=so time=02:00-04:00', '1:13: days= is some of'],
    ['mail "a@x.org', '1:6: a quote that does not end'],
  ])('%s', (text, fault) => {
    expect(() => parseAlerts(text, 'alerts.conf')).toThrow(`alerts.conf:${fault}`);
  });
  test('any text is lines or a fault with its place', () => {
    const words = fc.constantFrom(
      'mail',
      'exec',
      '--',
      'a@x.org',
      'host=*',
      '"',
      "'",
      '#',
      '\n',
      '=',
      'time=02:00-03:00',
      'https://x/',
      '\u0000',
      '   ',
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(words, fc.string()), { maxLength: 20 }), (parts) => {
        try {
          parseAlerts(parts.join(' '), 'alerts.conf');
        } catch (error) {
          expect((error as Error).message).toMatch(/^alerts\.conf:\d+:\d+: /);
        }
      }),
    );
  });
  test('the sample is right, also with its lines in force', () => {
    const text = readFileSync(new URL('../../config/samples/alerts.conf', import.meta.url), 'utf8');
    const lines = text.split('\n').slice(2).join('\n').replaceAll(/^# /gm, '');
    expect(parseAlerts(text, 'alerts.conf')).toEqual([]);
    expect(parseAlerts(lines, 'alerts.conf')).toHaveLength(5);
  });
});

describe('who is told', () => {
  const lines = parseAlerts(
    'mail web@x.org vserver=web*\nmail night@x.org severity=critical\nexec -- /bin/sms\n',
    'f',
  );
  test('every line that takes it; MAIL_TO when no mail line does', () => {
    const main = ['admin@x.org'];
    expect(routeOf(lines, main, about)).toEqual(['mail:web@x.org', 'exec:/bin/sms']);
    expect(routeOf(lines, main, { ...about, severity: 'critical' })).toEqual([
      'mail:web@x.org',
      'mail:night@x.org',
      'exec:/bin/sms',
    ]);
    expect(routeOf(lines, main, { ...about, subject: 'db1' })).toEqual(['exec:/bin/sms', 'mail:admin@x.org']);
    expect(routeOf([], [], about)).toEqual([]);
    // mails do not tell that mails fail
    expect(
      routeOf(lines, main, { ...about, target: 'master', subject: 'alerter', severity: 'critical' }),
    ).toEqual(['exec:/bin/sms']);
  });
  test('whom the alert itself names is told besides: nobody is taken away by it, and the alerter takes none', () => {
    const named = { ...about, mailto: ['own@x.org', 'web@x.org'] };
    expect(routeOf(lines, ['admin@x.org'], named)).toEqual([
      'mail:web@x.org',
      'exec:/bin/sms',
      'mail:own@x.org',
    ]);
    expect(routeOf([], ['admin@x.org'], named)).toEqual([
      'mail:admin@x.org',
      'mail:own@x.org',
      'mail:web@x.org',
    ]);
    expect(routeOf([], [], { ...named, target: 'master', subject: 'alerter' })).toEqual([]);
  });
  test('addresses of alerts: right ones, users only for a mail system of this machine, and not without end', () => {
    const said = [
      'b@x.org',
      'root',
      'b@x.org',
      'a@x.org',
      '-f@x.org',
      'a b@x.org',
      'x@y@z',
      'n\r\nBcc: o@x.org',
      `${'a'.repeat(300)}@x.org`,
    ];
    const [far, near] = [openMailto(false), openMailto(true)];
    expect(far('host1', { mailto: said })).toEqual(['a@x.org', 'b@x.org']);
    expect(near('host1', { mailto: said })).toEqual(['a@x.org', 'b@x.org', 'root']);
    expect(far('master', { mailto: said })).toEqual([]);
    const many = Array.from({ length: 5 }, (_, part) =>
      far('host2', { mailto: Array.from({ length: 20 }, (_one, index) => `u${part}-${index}@x.org`) }, 0),
    );
    expect(many.map((one) => one.length)).toEqual([20, 20, 10, 0, 0]);
    expect(far('host2', { mailto: ['u0-0@x.org', 'new@x.org'] }, 1000)).toEqual(['u0-0@x.org']);
    expect(far('host3', { mailto: ['new@x.org'] }, 1000)).toEqual(['new@x.org']);
    expect(far('host2', { mailto: ['new@x.org'] }, 25 * 3_600_000)).toEqual(['new@x.org']);
  });
  test('patterns', () => {
    for (const [pattern, text, right] of [
      ['web*', 'web1', true],
      ['web*', 'db1', false],
      ['*', '', true],
      ['a*b*c', 'aXbYc', true],
      ['a*b*c', 'acb', false],
      ['ab*ba', 'aba', false],
      ['web1', 'web10', false],
    ] as const)
      expect(fits(pattern, text), `${pattern} ${text}`).toBe(right);
    const plain = fc.string({ unit: fc.constantFrom('a', 'b', '*'), maxLength: 8 });
    const text = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 10 });
    fc.assert(
      fc.property(plain, text, (pattern, one) => {
        expect(fits(pattern, one)).toBe(new RegExp(`^${pattern.replaceAll('*', '.*')}$`).test(one));
      }),
    );
  });
  test('silences and maintenance', () => {
    const one = { subject: 'host1', check: '*', from: 10, until: 20, by: 'anna', why: 'disks' };
    expect([9, 10, 19, 20].map((now) => isSilent([one], [], about, now))).toEqual([false, true, true, false]);
    expect(isSilent([{ ...one, check: 'mem*' }], [], about, 15)).toBe(false);
    const night = parseAlerts('maintenance vserver=web1 days=sat time=22:00-04:00', 'f');
    const at = (day: number, hour: number) =>
      isSilent([], night, about, new Date(2026, 0, day, hour).getTime()); // the 3rd is a Saturday
    expect([at(3, 21), at(3, 23), at(4, 3), at(4, 5), at(4, 23), at(3, 3)]).toEqual([
      false,
      true,
      true,
      false,
      false,
      false,
    ]);
  });
  test('maintenance of a vserver, of a host with all that it says, and of the whole pool: by a line and by a command', () => {
    const night = new Date(2026, 0, 3, 3).getTime();
    const of = (subject: string, host: string) => ({ ...about, subject, host });
    const some = [of('web1', 'host1'), of('db1', 'host1'), of('host', 'host1'), of('web9', 'host2')];
    const line = (filter: string) =>
      some.map((one) => isSilent([], parseAlerts(`maintenance ${filter} time=02:00-04:00`, 'f'), one, night));
    const command = (subject: string) =>
      some.map((one) =>
        isSilent([{ subject, check: '*', from: 1, until: night + 1, by: 'anna', why: 'w' }], [], one, night),
      );
    for (const [filter, subject, wanted] of [
      ['vserver=web1', 'web1', [true, false, false, false]],
      ['host=host1', 'host1', [true, true, true, false]],
      ['', '*', [true, true, true, true]],
    ] as const)
      expect([line(filter), command(subject)], filter).toEqual([wanted, wanted]);
  });
  test('people: ack, silence, unsilence', () => {
    const state = { ...emptyState(), incidents: { k: { ...noticeOf().incident, stale: false, told: {} } } };
    expect(() => acknowledge(state, { subject: 'web2', check: 'disk', why: '', by: 'anna' }, 1)).toThrow(
      'no alert disk of web2 fires',
    );
    expect(
      acknowledge(state, { subject: 'web1', check: 'disk', why: '', by: 'anna' }, 1).state.incidents['k']
        ?.ack,
    ).toEqual({ by: 'anna', why: '', ts: 1 });
    const one = { subject: 'web*', check: '*', from: 0, until: 100, by: 'anna', why: 'x' };
    const quiet = silenced(silenced(state, one, 1), { ...one, until: 200 }, 1);
    expect(quiet.silences.map(({ until }) => until)).toEqual([200]);
    expect(() => unsilenced(quiet, 'web1', '*')).toThrow('it is covered by: web* *');
    expect(unsilenced(quiet, 'web*', '*')).toMatchObject({ removed: 1, state: { silences: [] } });
    const now = new Date(2026, 0, 3, 12).getTime();
    expect(
      [parseFrom('13:00', now) - now, parseFrom('02:00', now) - now].map((ms) => ms / 3_600_000),
    ).toEqual([1, 14]);
    expect(() => parseFrom('soon', now)).toThrow('is no time');
  });
});

/** Every tag closed in its order, no attribute without quotes, no stray < or &. */
function expectWellFormed(html: string): void {
  const open: string[] = [];
  const rest = html
    .replace('<!DOCTYPE html>', '')
    .replaceAll(
      /<(\/?)([a-z][a-z0-9]*)((?: [a-z-]+="[^"<>]*")*)( \/)?>/g,
      (_, end: string, tag: string, _attributes, empty: string) => {
        if (end) expect(open.pop()).toBe(tag);
        else if (!empty) open.push(tag);
        return '';
      },
    );
  expect(open).toEqual([]);
  expect(rest.replaceAll(/&(?:amp|lt|gt|quot|#39);/g, '')).not.toMatch(/[<>&]/);
}
describe('a mail', () => {
  test('one alert: host:vserver:message, what to do, figures', () => {
    const facts: Facts = {
      figures: [
        {
          kind: 'vserver',
          name: 'web1',
          host: 'host1',
          state: 'running',
          figures: { cpu_pct: 12.5, mem_bytes: 2e8, mem_pct: 37 },
          rates: {},
        },
      ],
      details: new Map([['i1', 'processes:\n  1 init\n  <script>alert(1)</script>']]),
      charts: [{ cid: 'chart', title: 'web1', png: Buffer.from('x') }],
    };
    const mail = rendered(messageOf([noticeOf()]), facts);
    expect(mail.subject).toBe('host1:web1:disk is full');
    expect(mail.text).toContain('BEGINS  host1:web1\n  disk is full\n  warning, check disk, began 2025-');
    expect(mail.text).toContain('To do: Look what grows (vs enter web1');
    expect(mail.text).toContain('\n    processes:\n      1 init\n      <script>');
    expect(mail.text).toContain('memory of limit   37 %');
    expect(mail.html).toContain('&lt;script&gt;alert(1)');
    expectWellFormed(mail.html);
    expect(rendered(messageOf([noticeOf({}, 'end')])).subject).toBe('host1:web1:disk is over: disk is full');
    expect(rendered(messageOf([noticeOf(), noticeOf({ subject: 'web2' })])).subject).toBe(
      'host1:2 alerts:disk is full',
    );
    expect(rendered(messageOf([noticeOf()], { more: 5, heldSince: 1_764_086_300_000 })).text).toContain(
      '5 further alerts are not named',
    );
    const host = noticeOf({ subject: 'host', check: 'memory', message: 'host1: memory at 96 %' });
    expect(rendered(messageOf([host])).subject).toBe('host1:host:memory at 96 %');
    expect(rendered(messageOf([noticeOf()])).messageId).toBe(rendered(messageOf([noticeOf()])).messageId);
  });
  test('commands in the text stay in one line, so that they can be copied', () => {
    const advice = 'Look at it inside, where it is: vs enter web1, vs logs web1, vs monitor check web1. Then';
    const text = together(advice, (one) => wrap(one, 78, '  '));
    expect(text.split('\n')).toEqual([
      '  Look at it inside, where it is: vs enter web1, vs logs web1,',
      '  vs monitor check web1. Then',
    ]);
    const long = `vs limit ${'x'.repeat(100)} --memory`;
    expect(together(long, (one) => wrap(one, 78)).replaceAll('\n', '')).toBe(long);
  });
  test('an enormous one is bounded', () => {
    const details = new Map([['i1', 'x'.repeat(50_000_000)]]);
    const notices = Array.from({ length: 200 }, () => noticeOf({ message: 'm'.repeat(100_000) }));
    const mail = rendered(messageOf(notices), { ...noFacts(), details });
    expect(mail.text.length).toBeLessThan(120_000);
    expect(mail.html.length).toBeLessThan(200_000);
    expectWellFormed(mail.html);
  });
  test('whatever is in names, messages and details: no header, no tag, no control character, 80 columns', async () => {
    const nasty = fc
      .array(
        fc.oneof(
          fc.constantFrom(
            '\r\nBcc: evil@x.org',
            '\n.\n',
            '<script>',
            '"',
            "'>",
            '&amp;',
            '\u001b[2J',
            '\u202e',
            '\u0000',
            '=?utf-8?q?x?=',
            '\ud800',
            'ä€😀',
            '--',
            ' ',
            '\t',
            'x'.repeat(90),
          ),
          fc.string({ unit: 'binary', maxLength: 30 }),
        ),
        { maxLength: 8 },
      )
      .map((parts) => parts.join(''));
    await fc.assert(
      fc.asyncProperty(nasty, nasty, nasty, nasty, async (subject, host, text, detail) => {
        const mail = rendered(messageOf([noticeOf({ subject, host, message: text, check: subject })]), {
          ...noFacts(),
          details: new Map([['i1', detail]]),
        });
        expect(mail.subject).not.toMatch(/[\p{Cc}\p{Cf}]/u);
        expect(mail.text).not.toMatch(/[^\P{Cc}\n]/u);
        expect(mail.text.split('\n').filter((line) => line.length > 80)).toEqual([]);
        expectWellFormed(mail.html);
        const built = await createTransport({ streamTransport: true, buffer: true }).sendMail({
          from: 'a@x.org',
          to: 'b@x.org',
          subject: mail.subject,
          text: mail.text,
          html: mail.html,
          messageId: mail.messageId,
        });
        const head = (built.message as Buffer).toString('latin1').split('\r\n\r\n')[0] ?? '';
        expect(
          head
            .split('\r\n')
            .filter((line) => !/^[ \t]/.test(line))
            .map((line) => line.split(':')[0])
            .toSorted(),
        ).toEqual(['Content-Type', 'Date', 'From', 'MIME-Version', 'Message-ID', 'Subject', 'To']);
      }),
      { numRuns: 60 },
    );
  }, 120_000);
  test('what to do is known of every check of today', () => {
    expect(adviceOf({ subject: 'host1', host: 'host1', check: 'offline' })).toContain('host1 has power');
    expect(adviceOf({ subject: 'web1', host: 'host1', check: 'toString' })).toContain('vs show web1');
    const of = (subject: string, check: string) => adviceOf({ subject, host: 'host1', check });
    expect(of('web1', 'disk')).toContain('vs limit web1 --disk SIZE');
    expect(of('web1', 'daemon-nginx')).toContain('vs monitor check web1');
    expect(of('web1', 'load-5')).toContain('vs limit web1 --cpu CORES');
    expect(of('host', 'disk-state')).toContain('vs trash list');
    expect(of('host', 'load-1')).toContain('vs evacuate host1');
    expect(of('host', 'certificate')).toContain('vs host renew host1');
    const backups = ['failed', 'overdue', 'test', 'damaged'].map((one) => ['web1', `backup-${one}`] as const);
    const own = ['master-failed', 'master-overdue', 'config', 'uncovered', 'repository'];
    for (const [subject, check] of [...backups, ...own.map((one) => ['backup', one] as const)])
      expect(adviceOf({ subject, host: 'master', check }), check).not.toMatch(/^Look at it|NAME|HOST/);
    const kinds = [...Object.values(vserverKinds), ...Object.values(hostKinds)];
    for (const { check } of kinds) {
      const host = Object.values(hostKinds).some((one) => one.check === check);
      expect(of(host ? 'host' : 'web1', check), check).not.toMatch(/^Look at it/);
    }
  });
  test('docs/alerts.md and what the mails advise are about the same checks', () => {
    const read = (file: string) => readFileSync(new URL(`../../docs/${file}`, import.meta.url), 'utf8');
    const table = read('alerts.md').split('## Alerts of today')[1]?.split('\n\n')[0] ?? '';
    // one `host` stands for a subject
    const cells = table.split('\n').map((line) => line.split('|')[1] ?? '');
    const names = cells.flatMap((cell) => [...cell.matchAll(/`([a-z-]+)/g)].map((one) => one[1] ?? ''));
    const said = new Set(names.filter((one) => one !== 'host'));
    const withoutEnd = (check: string) => check.replace(/-$/, '');
    expect(said.size).toBeGreaterThan(30);
    const known = { ...ofHost, ...ofVserver, ...ofOthers };
    const all = [...said].map(withoutEnd);
    for (const check of all) expect(Object.keys(known), check).toContain(check);
    for (const check of Object.keys(ofOthers)) expect(all, check).toContain(check);
    const watched = read('monitoring.md') + table;
    for (const check of Object.keys({ ...ofHost, ...ofVserver }))
      expect(watched, check).toMatch(new RegExp(`\`(HOST )?${check}(-[A-Za-z0-9]+)?\``));
  });
  test('digest: once a day, after its hour', () => {
    const settings = loadSettings({ file: '/nonexistent', env: { VS_MAIL_DIGEST_HOUR: '7' } });
    const at = (hour: number) => new Date(2026, 0, 3, hour, 1).getTime();
    const state = { ...emptyState(), digest: at(7) - 86_400_000 };
    expect([6, 7, 9, 15].map((hour) => isDigestDue(state, settings, at(hour)))).toEqual([
      false,
      true,
      true,
      false,
    ]);
    expect(isDigestDue({ ...state, digest: at(7) }, settings, at(8))).toBe(false);
    expect(
      digestText(
        { ...state, incidents: { k: { ...noticeOf().incident, stale: false, told: {} } } },
        [{ name: 'web1', host: 'host1', upgrades: 3, security_upgrades: 1 } as never],
        at(7),
      ),
    ).toContain('web1 on host1: 3, 1 of them for security');
  });
});

describe('ways out', () => {
  const settings = (env: Record<string, string>) => loadSettings({ file: '/nonexistent', env });
  test('SMTP: TLS 1.2 and STARTTLS unless it is this machine; no password in the clear', () => {
    expect(smtpOptions(settings({ VS_SMTP_URL: 'smtp://mail.example.org' }))).toMatchObject({
      port: 587,
      secure: false,
      requireTLS: true,
      tls: { minVersion: 'TLSv1.2', servername: 'mail.example.org' },
    });
    expect(smtpOptions(settings({ VS_SMTP_URL: 'smtps://mail.example.org' }))).toMatchObject({
      port: 465,
      secure: true,
    });
    expect(smtpOptions(settings({ VS_SMTP_URL: 'smtp://[::1]:25' }))).toMatchObject({
      host: '::1',
      port: 25,
      requireTLS: false,
    });
    expect(() =>
      smtpOptions(
        settings({ VS_SMTP_URL: 'smtp://mail.example.org', VS_SMTP_USER: 'u', VS_SMTP_STARTTLS: 'no' }),
      ),
    ).toThrow('in the clear');
    expect(() => settings({ VS_SMTP_URL: 'http://x' })).toThrow('SMTP_URL');
    expect(() => settings({ VS_MAIL_TO: 'nobody' })).toThrow('MAIL_TO');
    expect(settings({ VS_MAIL_TO: 'admin@master, anna@example.org' }).MAIL_TO).toEqual([
      'admin@master',
      'anna@example.org',
    ]);
  });
  test('what an error says of a message', () => {
    expect(outcomeOf({ code: 'EENVELOPE', responseCode: 550, message: 'no\r\nsuch user' })).toEqual({
      result: 'refused',
      error: 'no such user',
    });
    expect(outcomeOf({ code: 'EENVELOPE', responseCode: 450, message: 'x' })).toEqual({
      result: 'later',
      error: 'x',
      down: false,
    });
    expect(outcomeOf({ code: 'EAUTH', responseCode: 535, message: 'x' })).toMatchObject({
      result: 'later',
      down: true,
    });
    expect(outcomeOf(new Error('ECONNREFUSED'))).toMatchObject({ result: 'later', down: true });
  });
  test('webhooks: ntfy, Gotify, JSON', () => {
    const mail = rendered(messageOf([noticeOf({ severity: 'critical' })]));
    const line = (text: string) => parseAlerts(`webhook ${text}`, 'f')[0] as never;
    expect(webhookBody(line('https://ntfy.sh/alerts format=ntfy'), mail)).toMatchObject({
      url: 'https://ntfy.sh/',
      body: { topic: 'alerts', title: mail.subject, priority: 5 },
    });
    expect(webhookBody(line('https://g.example/message format=gotify'), mail)).toMatchObject({
      url: 'https://g.example/message',
      body: { priority: 8 },
    });
    expect(webhookBody(line('https://x.example/in'), mail).body).toMatchObject({
      severity: 'critical',
      notices: [{ kind: 'begin', subject: 'web1', check: 'disk' }],
    });
  });
  test('the queue keeps the order of each channel over restarts, and a damaged file stops nothing', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'vslab-queue-'));
    const sent: number[] = [];
    let outcome: (one: Queued) => Outcome = () => ({ result: 'later', error: 'down', down: true });
    const open = async () => {
      const queue = openQueue({
        directory,
        retryMs: 5,
        told: () => undefined,
        send: (one) => {
          const done = outcome(one);
          if (done.result === 'sent') sent.push(one.seq);
          return Promise.resolve(done);
        },
      });
      await queue.load();
      queue.kick();
      return queue;
    };
    try {
      let queue = await open();
      for (const seq of [3, 1, 2]) await queue.add({ ...rendered(messageOf([noticeOf()])), seq });
      queue.kick();
      expect(queue.waiting()).toBe(0); // written, but not released: it may be written again
      queue.commit();
      expect(queue.waiting()).toBe(3);
      writeFileSync(join(directory, 'queue/000000000000.json'), '{');
      queue.kick();
      await queue.stop();
      queue = await open();
      expect(queue.waiting()).toBe(3);
      outcome = (one) => (one.seq === 2 ? { result: 'refused', error: '550' } : { result: 'sent' });
      queue.kick();
      await expect.poll(() => queue.waiting(), { timeout: 10_000 }).toBe(0);
      await queue.stop();
      expect(sent).toEqual([1, 3]);
      expect(readdirSync(join(directory, 'refused')).toSorted()).toEqual([
        '000000000000.json',
        '000000000002.json',
      ]);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

test('vs alerts: columns, the message below, silences; nothing steers the terminal', () => {
  const row = {
    id: 'i',
    target: 'host1',
    subject: 'web1',
    check: 'disk',
    severity: 'critical' as const,
    message: 'full\u001b[2J\nof logs',
    began: 0,
    count: 3,
    stale: true,
    silenced: false,
  };
  const one = { subject: 'db*', check: '*', from: 0, until: 60_000, by: 'anna', why: 'restoring' };
  const text = alertsText([{ ...row, began: 1 }], [one], 7_200_001);
  expect(text).toContain(
    'critical  host1  web1     disk   2 h 0 min  host is offline, 3 times\n  full [2J of logs\n\nsilenced: db* * from ',
  );
  expect(alertsText([], [], 0)).toBe('No alert fires.');
});
