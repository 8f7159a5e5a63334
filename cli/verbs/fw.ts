import { isUtf8 } from 'node:buffer';
import { readlinkSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Command } from 'commander';
import type { FirewallApplied } from '../../shared/contract/firewall.ts';
import { VsError } from '../../shared/errors.ts';
import { packetOf, packetText, parsePacket } from '../fw/packet.ts';
import { appliedText, showText } from '../fw/view.ts';
import { printJson } from '../json.ts';
import { onHost } from '../locate.ts';
import { quoted } from '../names.ts';

interface Options {
  host?: string;
  json?: boolean;
}
/** Names are resolved first, for up to 3 s; thousands of rules take nft a while. */
const CHANGE = { timeoutMs: 120_000 };

/** Of a message of the bus (shared/contract/firewall.ts). */
const MOST_CHARACTERS = 400_000;

/** Of what is piped in no more than could be a file: a reader of a pipe must not block, so it is no file for node:fs. */
async function readInput(): Promise<Buffer> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of process.stdin) {
    parts.push(part as Buffer);
    size += (part as Buffer).length;
    if (size > 4 * MOST_CHARACTERS) break; // it is told as too long
  }
  return Buffer.concat(parts);
}

/** Throws VsError 'usage'. */
async function readCandidate(file: string): Promise<string> {
  const bytes = await (file === '-' ? readInput() : readFile(file)).catch((error: unknown) => {
    throw new VsError('usage', `${file} cannot be read: ${(error as Error).message}.`, { cause: error });
  });
  const text = bytes.toString('utf8');
  const most = `at most ${MOST_CHARACTERS} in a firewall.conf`;
  if (text.length > MOST_CHARACTERS)
    throw new VsError('usage', `${file}:1:1: found ${text.length} characters or more, expected ${most}.`);
  if (!isUtf8(bytes)) throw new VsError('usage', `${file} cannot be read: it is no UTF-8 text.`);
  return text;
}

async function check(name: string, options: Options & { file?: string }): Promise<void> {
  const text = options.file === undefined ? undefined : await readCandidate(options.file);
  const answer = await onHost(name, options, (client, host) =>
    client.request(host, 'firewall.check', { name, ...(text === undefined ? {} : { text }) }, CHANGE),
  );
  const lead = `${answer.file}:`;
  // on the host the text has no file of its own
  const own = options.file === undefined ? lead : `${options.file}:`;
  const faults = answer.faults.map((one) => (one.startsWith(lead) ? `${own}${one.slice(lead.length)}` : one));
  if (options.json) printJson({ file: options.file ?? answer.file, faults });
  else if (faults.length > 0) console.log(faults.join('\n'));
  else console.log(`${name}: ${options.file ?? 'its firewall.conf'} has no faults`);
  if (faults.length > 0) process.exitCode = 2;
}

/** `-> 22` without quotes: the shell has taken `-` for a word and 22 for the file of the output. */
function requireUnredirected(name: string, words: string[]): void {
  if (words.at(-1) !== '-') return;
  let file = 'PORT';
  try {
    file = basename(readlinkSync('/proc/self/fd/1'));
  } catch {} // without /proc
  throw new VsError(
    'usage',
    `Your shell has taken "-> ${file}" for a file to write into, and made it. Say "to" instead: vs fw test ${name} ${words.slice(0, -1).join(' ')} to ${file}`,
  );
}

async function test(name: string, words: string[], options: Options & { send?: true }): Promise<void> {
  requireUnredirected(name, words);
  const asked = parsePacket(words);
  const { packet, answer } = await onHost(name, options, async (client, host) => {
    const { state } = await client.request(host, 'host-agent.show', { name });
    const args = {
      name,
      packet: packetOf(asked, state, options.send),
      ...(options.send ? { send: true as const } : {}),
    };
    return { packet: args.packet, answer: await client.request(host, 'firewall.test', args, CHANGE) };
  });
  if (options.json) return printJson({ packet, ...answer });
  const verdict = answer.verdict === 'accept' ? 'accepted' : 'dropped';
  console.log(`${verdict}: ${packetText(packet)}`);
  const { rule } = answer;
  console.log(rule ? `by ${rule.file}:${rule.line}: ${rule.text}` : answer.why);
  if (options.send && answer.sent) console.log('It was really sent, through the rules of its files.');
  if (answer.evaluated)
    console.log(`The evaluation says something else (${answer.evaluated}): please report that as a fault.`);
}

async function edit(name: string, options: Options): Promise<void> {
  const { editText } = await import('../fw/edit.ts');
  const before = await onHost(name, options, async (client, host) => ({
    host,
    view: await client.request(host, 'firewall.show', { name, text: true }),
  }));
  const { hash, text = '' } = before.view;
  const saved = await editText(name, text, (edited) =>
    onHost(name, { host: before.host }, (client, host) =>
      client.request(host, 'firewall.save', { name, text: edited, hash }, CHANGE),
    ),
  );
  if (options.json) printJson(saved ? { ...saved, changed: true } : { name, changed: false });
  else console.log(saved ? appliedText(saved, before.host) : 'Nothing was changed.');
}

async function log(name: string, options: Options & { lines: string }): Promise<void> {
  const lines = Number(options.lines);
  if (!(Number.isInteger(lines) && lines >= 1 && lines <= 1000))
    throw new VsError('usage', `--lines is a number from 1 to 1000, not ${quoted(options.lines)}.`);
  const answer = await onHost(name, options, (client, host) =>
    client.request(host, 'firewall.log', { name, lines }),
  );
  if (options.json) return printJson(answer);
  for (const line of answer.lines) console.log(line);
  if (answer.missing) process.stderr.write(`vs: ${answer.missing}.\n`);
}

/** `vs fw show|up|down|reload|edit|check|test|log`. */
export function register(program: Command): void {
  const fw = program
    .command('fw')
    .description('the firewall of a vserver: its rules, now and at each start')
    .addHelpText(
      'after',
      '\nExamples:\n  vs fw show web1\n  vs fw edit web1\n  vs fw test web1 in tcp 192.0.2.7:5555 to 22\n\nThe rules are /var/lib/vservers/NAME/firewall.conf on the host; docs/firewall.md tells how they are written.',
    );
  const verb = (word: string, description: string, examples: string) =>
    fw
      .command(word)
      .description(description)
      .argument('<name>', 'name of the vserver')
      .option('--host <host>', 'on this host, without asking the master')
      .option('--json', 'for programs')
      .addHelpText('after', `\nExamples:\n${examples}`);

  verb('show', 'its rules, and what each has matched since it was loaded', '  vs fw show web1').action(
    async (name: string, options: Options) => {
      await onHost(name, options, async (client, host) => {
        const view = await client.request(host, 'firewall.show', { name }, CHANGE);
        if (options.json) printJson(view);
        else console.log(showText(view, host, process.stdout.columns || 80));
      });
    },
  );
  const changes = {
    up: ['switch it on, now and for good', 'firewall.up'],
    down: ['switch it off, now and for good: everything passes', 'firewall.down'],
    reload: ['read its files anew, after they were changed by hand', 'firewall.reload'],
  } as const;
  for (const [word, [description, command]] of Object.entries(changes))
    verb(word, description, `  vs fw ${word} web1`).action((name: string, options: Options) =>
      onHost(name, options, async (client, host) => {
        const applied: FirewallApplied = await client.request(host, command, { name }, CHANGE);
        if (options.json) printJson(applied);
        else console.log(appliedText(applied, host));
      }),
    );
  verb(
    'edit',
    'change its rules with $VISUAL or $EDITOR; they are checked, and in force at once',
    '  vs fw edit web1\n  EDITOR="vim -u NONE" vs fw edit web1',
  ).action(edit);
  verb(
    'check',
    'look for faults, and change nothing; exit code 2 when there are some',
    '  vs fw check web1\n  vs fw check web1 --file new.conf',
  )
    .option('--file <file>', 'in this file, which might become its firewall.conf (- for standard input)')
    .action(check);
  verb(
    'test',
    'what happens to a packet, and by which rule; nothing is sent unless you say --send',
    `  vs fw test web1 in tcp 192.0.2.7:5555 to 22
  vs fw test web1 'in tcp 192.0.2.7:5555 -> 22'
  vs fw test web1 out udp to 192.0.2.53:53
  vs fw test web1 in icmp 192.0.2.7 echo-request
  vs fw test web1 in tcp [2001:db8::7]:5555 to 80
  vs fw test --send web1 in tcp 192.0.2.7:5555 to 22`,
  )
    .argument(
      '<packet...>',
      'in|out, protocol, source, "to", destination; the vserver\'s own address may be left out',
    )
    .option('--send', 'really send it, through the same rules in a network namespace that is gone at once')
    .allowUnknownOption() // ->
    .action(test);
  verb(
    'log',
    'what it denied, from the kernel\'s log of its host ("log" in its rules)',
    '  vs fw log web1 -n 100',
  )
    .option('-n, --lines <number>', 'so many of the last lines, 1 to 1000', '50')
    .action(log);
}
