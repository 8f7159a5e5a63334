import type { Command } from 'commander';
import { VsError } from '../../shared/errors.ts';
import type { ConsolePlace } from '../../shared/contract/control.ts';
import { type Client, withClient } from '../client.ts';
import { hostOf } from '../locate.ts';
import { checkHost, checkName, quoted } from '../names.ts';

interface Options {
  lines: string;
  follow?: boolean;
  boot?: boolean;
  host?: string;
  json?: boolean;
}
/** A follower asks again so often (ms): one that was killed is not followed for long. */
const ROUND_MS = 30_000;

/**
 * What a guest wrote, for a terminal: lines, tabs and colours pass, but nothing that moves the cursor, sets a title or
 * writes into the keyboard. With NO_COLOR no colours either.
 */
export function harmless(text: string, colours: boolean): string {
  return text.replace(
    // eslint-disable-next-line no-control-regex
    /\u001b\[[0-9;]*m|\u001b(?:\[[0-?]*[ -/]*[@-~]?|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|.?)|[\u0000-\u0008\u000b-\u001a\u001c-\u001f\u007f-\u009f]/gs,
    (found) => (colours && /^.\[[0-9;]*m$/.test(found) ? found : ''),
  );
}

/** Prints what comes in pieces: whole lines, so that nothing is cut in the middle of a character or a sequence. */
function printer(name: string, json: boolean | undefined) {
  let rest = Buffer.alloc(0);
  const raw = !json && !process.stdout.isTTY;
  const colours = !process.env['NO_COLOR'];
  const line = (bytes: Buffer) => {
    const whole = bytes.at(-1) === 13 ? bytes.subarray(0, -1) : bytes; // a console ends its lines by CR and LF
    if (json) console.log(JSON.stringify({ vserver: name, line: whole.toString() }));
    else if (raw) process.stdout.write(Buffer.concat([whole, Buffer.from('\n')]));
    else console.log(harmless(whole.toString(), colours));
  };
  return {
    take(bytes: Buffer): void {
      rest = Buffer.concat([rest, bytes]);
      for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
        line(rest.subarray(0, end));
        rest = rest.subarray(end + 1);
      }
      if (rest.length > 1_000_000) this.end(); // a line without end
    },
    end(): void {
      if (rest.length > 0) line(rest);
      rest = Buffer.alloc(0);
    },
  };
}

async function show(client: Client, name: string, options: Options, lines: number, signal: AbortSignal) {
  const print = printer(name, options.json);
  const host = await hostOf(client, name, options.host);
  const onProgress = ({ data, left }: Record<string, unknown>) => {
    if (typeof data === 'string') print.take(Buffer.from(data, 'base64'));
    else if (typeof left === 'number')
      process.stderr.write(
        `vs: ${left} bytes were left out: ${name} writes faster than they can be shown.\n`,
      );
  };
  const first = { name, lines, ...(options.boot ? { boot: true } : {}) };
  const wait = options.follow ? { wait: ROUND_MS } : {};
  const asked = { timeoutMs: ROUND_MS + 60_000, signal, onProgress };
  let from: ConsolePlace | undefined;
  do {
    const args = from ? { name, from, ...wait } : { ...first, ...wait };
    from = (await client.request(host, 'host-agent.logs', args, asked)).next;
    if (!options.follow) print.end();
  } while (options.follow);
}

/** `vs logs NAME`. */
export function register(program: Command): void {
  program
    .command('logs')
    .description('what a vserver wrote to its console; its host keeps the last 1 to 2 MB')
    .argument('<name>', 'name of the vserver')
    .option('-n, --lines <number>', 'so many of the last lines, 0 to 10000', '100')
    .option('-f, --follow', 'and what it writes, until ctrl-C')
    .option('--boot', 'only since its last start on this host')
    .option('--host <host>', 'on this host, without asking the master')
    .option('--json', 'one JSON object a line')
    .addHelpText(
      'after',
      '\nExamples:\n  vs logs web1\n  vs logs web1 -n 20 --follow\n  vs logs web1 --boot > boot.txt',
    )
    .action(async (name: string, options: Options) => {
      checkName(name);
      if (options.host !== undefined) checkHost(options.host);
      const lines = Number(options.lines);
      if (!(Number.isInteger(lines) && lines >= 0 && lines <= 10_000))
        throw new VsError('usage', `--lines is a number from 0 to 10000, not ${quoted(options.lines)}.`);
      const given = new AbortController();
      process.once('SIGINT', () => given.abort()); // ctrl-C ends it on the host too
      try {
        await withClient((client) => show(client, name, options, lines, given.signal));
      } catch (error) {
        if (!given.signal.aborted) throw error;
        process.exitCode = 130; // as a shell tells of SIGINT
      }
    });
}
