import { type Command, InvalidArgumentError, Option } from 'commander';
import type { CommandSpec } from '../../shared/contract/command.ts';
import { VsError } from '../../shared/errors.ts';
import { withClient } from '../client.ts';
import { quoted } from '../names.ts';
import { clientSettings } from '../settings.ts';

interface Options {
  pretty?: boolean;
  json?: boolean;
  count?: number;
  for?: number;
}
/** One message with what the contract says of it. */
export interface Heard {
  at: number;
  /** Below the base, where it is below it. */
  topic: string;
  retained: boolean;
  /** The name of its schema; null when the contract has no such topic. */
  schema: string | null;
  faults: string[];
  /** What an empty payload says. */
  empty?: string;
  /** undefined: no JSON. null: an empty payload. */
  payload: unknown;
}
type Judge = (
  topic: string,
  payload: unknown,
  retained: boolean,
) => Pick<Heard, 'schema' | 'faults' | 'empty'>;
interface Schema {
  safeParse(value: unknown): { error?: { issues: { path: PropertyKey[]; message: string }[] } };
}

/** The filter that is sent: what a person typed, with the base before it unless it is there already. */
export function fullFilter(base: string, text: string): string {
  const wrong = (why: string) =>
    new VsError('usage', `${quoted(text)} is no topic filter: ${why}; such as hosts/+/vservers/web1/#.`);
  const levels = text.split('/');
  if (text === '') throw wrong('it is empty');
  if (Buffer.byteLength(text) > 1000) throw wrong('it is longer than 1000 bytes');
  if (/\p{Cc}/u.test(text)) throw wrong('it has a control character');
  if (levels.slice(0, -1).includes('#')) throw wrong('# stands at the end only');
  if (levels.some((level) => level.length > 1 && /[+#]/.test(level)))
    throw wrong('+ and # stand for whole levels');
  if (text === base) return `${base}/#`;
  if (text.startsWith(`${base}/`) || text.startsWith('$')) return text;
  return `${base}/${text}`;
}

/** What the contract says of messages. Loads zod and every schema. */
export async function contractJudge(): Promise<Judge> {
  const { channelOf } = await import('../../shared/contract/channels.ts');
  const { commands } = await import('../../shared/contract/commands.ts');
  const { nameOf } = await import('../../shared/contract/named.ts');

  function issues(schema: Schema, value: unknown, lead: string[] = []): string[] {
    const found = schema.safeParse(value).error?.issues ?? [];
    return found.map((one) => `${[...lead, ...one.path].join('.') || 'the payload'}: ${one.message}`);
  }
  function ofCommand(scope: string, name: string, payload: unknown): string[] {
    const spec = (commands as Record<string, CommandSpec | undefined>)[name];
    if (spec?.scope !== scope)
      return [`there is no command ${name} ${scope === 'host' ? 'of hosts' : 'of the master'}`];
    return issues(spec.args, (payload as { args?: unknown }).args ?? {}, ['args']);
  }
  return (topic, payload, retained) => {
    const found = channelOf(topic);
    if (!found) return { schema: null, faults: ['the contract has no such topic'] };
    const { key, channel, words } = found;
    const faults: string[] = [];
    if (retained && !channel.retained) faults.push('it is retained, which is never done on this topic');
    if (payload === undefined) faults.push('it is not JSON');
    else if (payload !== null) faults.push(...issues(channel.payload, payload));
    else if (!channel.empty) faults.push('it is empty');
    if (key.endsWith('Command') && payload && faults.length === 0)
      faults.push(
        ...ofCommand(key.replace('Command', ''), `${words['service']}.${words['command']}`, payload),
      );
    const empty = payload === null && channel.empty ? { empty: channel.empty } : {};
    return { schema: nameOf(channel.payload) || null, faults, ...empty };
  };
}

const two = (value: number, digits = 2) => String(value).padStart(digits, '0');
const clock = (at: number): string => {
  const date = new Date(at);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${two(date.getMilliseconds(), 3)}`;
};
/** Without what would move the cursor or turn the writing of a terminal; \n stays. */
const harmless = (text: string): string =>
  text.replaceAll(
    /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (one) => `\\u${(one.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`,
  );
const clip = (text: string, room: number) => (text.length <= room ? text : `${text.slice(0, room - 3)}...`);

function told({ payload, empty }: Heard, indent?: number): string {
  if (payload === undefined) return '(not JSON)';
  if (payload === null) return empty ? `(empty: ${empty})` : '(empty)';
  return JSON.stringify(payload, null, indent);
}

/** One message on one line: local time, topic, what is wrong, payload; cut to `width`, but not what is wrong. */
export function line(one: Heard, width: number): string {
  const fault = one.faults.length > 0 ? `! ${one.faults.join('; ')}  ` : '';
  const lead = `${clock(one.at)}  ${one.topic}  ${one.retained ? '(retained) ' : ''}${fault}`;
  return harmless(`${lead}${clip(told(one), Math.max(20, width - lead.length))}`).replaceAll(
    '\n',
    String.raw`\n`,
  );
}

/** One message on several lines. */
export function pretty(one: Heard): string {
  const kind = [one.schema ?? 'unknown', ...(one.retained ? ['retained'] : [])].join(', ');
  const rest = [...one.faults.map((fault) => `! ${fault}`), told(one, 2)].join('\n');
  return harmless(
    `${clock(one.at)}  ${one.topic.replaceAll('\n', String.raw`\n`)}  ${kind}\n${rest}`,
  ).replaceAll('\n', '\n  ');
}

function whole(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 1) return value;
  throw new InvalidArgumentError('It is a whole number from 1.');
}
function seconds(text: string): number {
  const value = Number(text);
  if (value > 0 && value <= 2_000_000) return value;
  throw new InvalidArgumentError('It is a number of seconds, over 0 and at most 2000000.');
}

async function listen(filter: string, base: string, options: Options): Promise<void> {
  const judge = await contractJudge();
  const print = (full: string, one: Heard) => {
    if (options.json) console.log(JSON.stringify({ ...one, topic: full, payload: one.payload ?? null }));
    else console.log(options.pretty ? pretty(one) : line(one, process.stdout.columns || 200));
  };
  await withClient(async (client) => {
    const { promise: enough, resolve } = Promise.withResolvers<void>();
    let heard = 0;
    await client.subscribe([filter], (full, payload, retained) => {
      if (heard === options.count) return;
      heard++;
      const topic = full.startsWith(`${base}/`) ? full.slice(base.length + 1) : full;
      const found = full === topic ? { schema: null, faults: [] } : judge(topic, payload, retained);
      print(full, { at: Date.now(), topic, retained, payload, ...found });
      if (heard === options.count) resolve();
    });
    const timer = options.for === undefined ? undefined : setTimeout(resolve, options.for * 1000);
    await Promise.race([enough, client.lost]).finally(() => clearTimeout(timer));
    if (options.count !== undefined && heard < options.count)
      throw new VsError(
        'unavailable',
        `${heard} of ${options.count} messages came on ${filter} within ${options.for} s.`,
      );
  });
}

/** `vs listen FILTER`. */
export function register(program: Command): void {
  program
    .command('listen')
    .description('hear topics of the bus until ctrl-C; a message that breaks the contract is marked with !')
    .argument('<filter>', 'an MQTT filter with + and #, with or without the base')
    .option('--pretty', 'several lines a message, the payload whole')
    .addOption(new Option('--json', 'one JSON object a line, for programs').conflicts('pretty'))
    .option('--count <n>', 'end after so many messages', whole)
    .option('--for <seconds>', 'end after this time; with --count: exit code 4 when too few came', seconds)
    .addHelpText(
      'after',
      `
Examples:
  vs listen '#'
  vs listen 'hosts/+/vservers/web1/#' --pretty
  vs listen 'sagas/+/progress' --for 60
  vs listen hosts/host1/status --count 1 --for 5 --json | jq .payload.state

"vs topics" shows the topics, docs/topics.md the payloads.`,
    )
    .action(async (text: string, options: Options) => {
      const { base } = await clientSettings();
      await listen(fullFilter(base, text), base, options);
    });
}
