import type { Command } from 'commander';
import { VsError } from '../../shared/errors.ts';
import { withClient } from '../client.ts';
import { quoted } from '../names.ts';
import { parseSpan } from '../stats/span.ts';
import { moment } from '../table.ts';

const TIMEOUT_MS = 10_000;
/** As long as a mail server may take to answer. */
const TEST_MS = 100_000;

/** The subject or check of an alert, or a pattern of it; the form is that of shared/contract/alerter.ts. */
function checkPattern(text: string, what: string): string {
  if (/^[A-Za-z0-9_.:*-]{1,100}$/.test(text)) return text;
  throw new VsError(
    'usage',
    `${quoted(text)} is no ${what}: it is a name, or a part of it and *, such as web1 or "web*".`,
  );
}
function checkLevel(text: string, what: string): string {
  if (/^[A-Za-z0-9_.:-]{1,100}$/.test(text)) return text;
  throw new VsError('usage', `${quoted(text)} is no ${what}; "vs alerts" shows those that fire.`);
}
/** A moment from which on: 2026-12-24T02:00, or 02:00 (the next time that it is so late). */
export function parseFrom(text: string, now: number): number {
  const [, hours, minutes] = /^([01]?\d|2[0-3]):([0-5]\d)$/.exec(text) ?? [];
  if (hours !== undefined) {
    const date = new Date(now);
    date.setHours(Number(hours), Number(minutes), 0, 0);
    if (date.getTime() <= now) date.setDate(date.getDate() + 1);
    return date.getTime();
  }
  const moment_ = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?$/.test(text)
    ? new Date(text.replace(' ', 'T')).getTime()
    : Number.NaN;
  if (moment_ >= 0) return moment_;
  throw new VsError(
    'usage',
    `${quoted(text)} is no time: it is such as 02:00 or 2026-12-24T02:00 (local time).`,
  );
}

/** `vs alert`: what people do about alerts. */
export function register(program: Command): void {
  const alert = program
    .command('alert')
    .description('acknowledge and silence alerts, and try whether they reach anybody')
    .addHelpText(
      'after',
      '\nExamples:\n  vs alert ack web1 disk --why "bigger disk ordered"\n  vs alert silence web1 disk --for 2h --why "restoring"\n  vs alert test',
    );
  alert
    .command('ack')
    .description('say that you look after an alert: no reminders until it ends')
    .argument('<name>', 'what it is about: a vserver, a host')
    .argument('<check>', 'the check, as vs alerts shows it')
    .option('--why <text>', 'one line for the others')
    .option('--json', 'for programs')
    .addHelpText(
      'after',
      '\nExamples:\n  vs alert ack web1 disk\n  vs alert ack host1 offline --why "new power supply is on its way"',
    )
    .action(async (name: string, check: string, options: { why?: string; json?: boolean }) => {
      const args = {
        subject: checkLevel(name, 'subject'),
        check: checkLevel(check, 'check'),
        ...(options.why === undefined ? {} : { why: options.why }),
      };
      await withClient(async (client) => {
        const done = await client.request('master', 'alerter.ack', args, { timeoutMs: TIMEOUT_MS });
        console.log(
          options.json
            ? JSON.stringify(done, null, 2)
            : `${name} ${check}: you look after it; it reminds nobody until it ends.`,
        );
      });
    });
  alert
    .command('silence')
    .description('tell nobody of some alerts for a while: a maintenance window')
    .argument(
      '<name>',
      'a vserver or host, or a part of its name and *; a host covers what it says of its vservers',
    )
    .argument('[check]', 'a check, or a part of it and *', '*')
    .requiredOption('--for <span>', 'how long, such as 30m, 2h, 7d')
    .requiredOption('--why <text>', 'one line for the others')
    .option('--from <time>', 'when it begins, such as 02:00 or 2026-12-24T02:00; now unless given')
    .option('--json', 'for programs')
    .addHelpText(
      'after',
      '\nExamples:\n  vs alert silence web1 disk --for 2h --why restoring\n  vs alert silence host1 --from 02:00 --for 2h --why "new disks"\n  vs alert silence "*" --for 30m --why "the switch is changed"',
    )
    .action(
      async (
        name: string,
        check: string,
        options: { for: string; why: string; from?: string; json?: boolean },
      ) => {
        const args = {
          subject: checkPattern(name, 'subject'),
          check: checkPattern(check, 'check'),
          for: parseSpan(options.for),
          why: options.why,
          ...(options.from === undefined ? {} : { from: parseFrom(options.from, Date.now()) }),
        };
        await withClient(async (client) => {
          const done = await client.request('master', 'alerter.silence', args, { timeoutMs: TIMEOUT_MS });
          if (options.json) return console.log(JSON.stringify(done, null, 2));
          console.log(
            `${name} ${check}: silenced from ${moment(done.from)} until ${moment(done.until)}. What fires after that is told then.`,
          );
        });
      },
    );
  alert
    .command('unsilence')
    .description('end a silence before its time')
    .argument('<name>', 'as it was given')
    .argument('[check]', 'as it was given', '*')
    .option('--json', 'for programs')
    .addHelpText('after', '\nExamples:\n  vs alert unsilence web1 disk\n  vs alert unsilence "*"')
    .action(async (name: string, check: string, options: { json?: boolean }) => {
      const args = { subject: checkPattern(name, 'subject'), check: checkPattern(check, 'check') };
      await withClient(async (client) => {
        const done = await client.request('master', 'alerter.unsilence', args, { timeoutMs: TIMEOUT_MS });
        console.log(options.json ? JSON.stringify(done, null, 2) : `${name} ${check}: told again.`);
      });
    });
  alert
    .command('test')
    .description('send a test at once, and tell how it went; 1 when one did not go out')
    .option('--to <address>', 'to this mail address only')
    .option('--json', 'for programs')
    .addHelpText('after', '\nExamples:\n  vs alert test\n  vs alert test --to admin@example.org')
    .action(async (options: { to?: string; json?: boolean }) => {
      if (options.to !== undefined && !/^[^\s@]+@[^\s@]+$/.test(options.to))
        throw new VsError('usage', `${quoted(options.to)} is no mail address, such as admin@example.org.`);
      await withClient(async (client) => {
        const args = options.to === undefined ? {} : { to: options.to };
        const { sent } = await client.request('master', 'alerter.test', args, { timeoutMs: TEST_MS });
        if (options.json) console.log(JSON.stringify({ sent }, null, 2));
        else
          for (const one of sent)
            console.log(
              `${one.channel}: ${one.ok ? 'sent' : `not sent: ${(one.error ?? '').replaceAll(/\p{Cc}+/gu, ' ')}`}`,
            );
        if (sent.some((one) => !one.ok)) process.exitCode = 1;
      });
    });
}
