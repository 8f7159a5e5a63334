import type { Command } from 'commander';
import type { Alert } from '../../shared/contract/host.ts';
import type { PastAlert } from '../../shared/contract/alerter.ts';
import { VsError } from '../../shared/errors.ts';
import { alertsText } from '../alert-text.ts';
import { type Client, withClient } from '../client.ts';
import { quoted } from '../names.ts';
import { moment } from '../table.ts';

interface Options {
  watch?: boolean;
  history?: boolean;
  json?: boolean;
  lines: string;
}
const TIMEOUT_MS = 10_000;

const clean = (text: string): string => text.replaceAll(/[\p{Cc}\p{Cf}]+/gu, ' ');
const pastLine = (one: PastAlert): string =>
  `${moment(one.began)} - ${moment(one.ended)}  ${one.severity.padEnd(8)} ${one.target} ${one.subject} ${one.check}\n  ${clean(one.message)}`;

/** Goes on with what begins and ends, from the topics themselves: it works without the master, too. */
async function watch(client: Client, json: boolean | undefined): Promise<void> {
  const firing = new Map<string, string>();
  await client.subscribe(client.topics.all.alerts, (topic, payload) => {
    const [subject = '', check = ''] = topic.split('/').slice(-2);
    const target = topic.split('/').at(-4) ?? '';
    const one = payload as Alert | null;
    const before = firing.get(topic);
    const text = one ? `${one.severity} ${one.message}` : undefined;
    if (text === before) return;
    if (text === undefined) firing.delete(topic);
    else firing.set(topic, text);
    const change = one ? (before === undefined ? 'fires' : 'changes') : 'ends';
    const now = Date.now();
    if (json) return console.log(JSON.stringify({ at: now, change, target, subject, check, alert: one }));
    const about = `${moment(now)}  ${change.padEnd(8)} ${(one?.severity ?? '').padEnd(8)} ${target} ${subject} ${check}`;
    console.log(one ? `${about}\n  ${clean(one.message)}` : about.trimEnd());
  });
  await client.lost;
}

/** `vs alerts`: what is wrong in the pool. */
export function register(program: Command): void {
  program
    .command('alerts')
    .description('what is wrong in the pool, and who looks after it')
    .option('-w, --watch', 'tell what begins and ends until ctrl-C; works without the master')
    .option('--history', 'alerts that ended, the newest first')
    .option('-n, --lines <number>', 'how many of the past', '50')
    .option('--json', 'for programs; with --watch one object a line')
    .addHelpText(
      'after',
      '\nExamples:\n  vs alerts\n  vs alerts --watch\n  vs alerts --history -n 20\n  vs alerts --json | jq ".alerts[].message"\n\nSee also: vs alert ack, vs alert silence, vs alert test.',
    )
    .action(async (options: Options) => {
      if (options.watch && options.history)
        throw new VsError('usage', '--watch and --history do not go together.');
      const limit = Number(options.lines);
      if (!(Number.isInteger(limit) && limit >= 1 && limit <= 500))
        throw new VsError('usage', `--lines is a number from 1 to 500, not ${quoted(options.lines)}.`);
      await withClient(async (client) => {
        if (options.watch) return watch(client, options.json);
        const timeout = { timeoutMs: TIMEOUT_MS };
        if (options.history) {
          const past = await client.request('master', 'alerter.history', { limit }, timeout);
          if (options.json) return console.log(JSON.stringify(past, null, 2));
          const lines = past.alerts.map(pastLine);
          return console.log(lines.length > 0 ? lines.join('\n') : 'No alert has ended so far.');
        }
        const found = await client.request('master', 'alerter.list', {}, timeout);
        if (options.json) return console.log(JSON.stringify(found, null, 2));
        console.log(alertsText(found.alerts, found.silences, Date.now()));
        const { waiting, refused, error } = found.queue;
        if (waiting > 0)
          console.log(`\n${waiting} messages wait to be sent${error ? `: ${clean(error)}` : ''}`);
        if (refused > 0) console.log(`\n${refused} messages were refused (docs/alerts.md)`);
      });
    });
}
