import type { Command } from 'commander';
import type { EveryVerb } from '../../shared/contract/control.ts';
import type { VserverState } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';
import { type Client, withClient } from '../client.ts';
import { describeFailure, exitCodeOf } from '../exit.ts';
import { hostOf } from '../locate.ts';
import { checkHost, checkName, secondsOf } from '../names.ts';

const summaries: Record<EveryVerb, string> = {
  start: 'start vservers on the hosts that own them; paused ones run on',
  stop: 'stop vservers in order, by force after a time',
  restart: 'stop and start vservers',
  kill: 'end vservers at once, by force: as a power cut to them',
  pause: 'freeze vservers where they are; their memory is kept, their addresses stay',
  resume: 'let paused vservers run on',
  enable: 'start vservers at boot',
  disable: 'do not start vservers at boot',
};
const rows: Partial<Record<EveryVerb, string>> = {
  start: ', those that are paused excepted, in boot order',
  stop: ', in the reverse of the boot order',
  restart: ' that runs, in boot order',
  pause: ' that runs',
  resume: ' that is paused',
};
interface Options {
  all?: boolean;
  host?: string;
  timeout?: string;
  json?: boolean;
}
/** Longest stop (stopTimeout), and what else belongs to a start (ms). */
const ONE_MS = 720_000;
const ALL_MS = 24 * 3_600_000;

interface Told {
  state(state: VserverState): void;
  failure(name: string, text: string, code: number): void;
}

/** Hosts that own vservers, as the master knows them; here only this one when there is no master. */
async function hostsOf(client: Client): Promise<string[]> {
  const { rows: found } = await client.request('master', 'orchestrator.scan', {});
  const owning = found.filter((row) => row.vserver && row.state !== 'unknown' && (row.epoch ?? 0) > 0);
  return [...new Set(owning.map((row) => row.host))];
}

async function all(
  client: Client,
  verb: EveryVerb,
  options: Options,
  timeout: number | undefined,
  tell: Told,
) {
  const signal = interrupted();
  const args = { verb, ...(timeout === undefined ? {} : { timeout }) };
  const hosts = options.host === undefined ? await hostsOf(client) : [options.host];
  const failed = async (host: string): Promise<void> => {
    const asked = { timeoutMs: ALL_MS, signal, onProgress };
    await client.request(host, 'host-agent.every', args, asked).catch((error: unknown) => {
      const { text, code } = describeFailure(error);
      tell.failure(host, text, code);
    });
  };
  function onProgress({ name, state, code, error }: Record<string, unknown>): void {
    if (state) tell.state(state as VserverState);
    else tell.failure(String(name), String(error), exitCodeOf(String(code)));
  }
  await Promise.all(hosts.map(failed));
}
/** Ctrl-C: what has begun ends, nothing else begins. */
function interrupted(): AbortSignal {
  const given = new AbortController();
  process.once('SIGINT', () => given.abort());
  return given.signal;
}

async function named(
  client: Client,
  verb: EveryVerb,
  names: string[],
  host: string | undefined,
  timeout: number | undefined,
  tell: Told,
) {
  await Promise.all(
    [...new Set(names)].map(async (name) => {
      try {
        const at = await hostOf(client, name, host);
        const slow = verb === 'stop' || verb === 'restart';
        const args = { name, ...(slow && timeout !== undefined ? { timeout } : {}) };
        const wait = { timeoutMs: ONE_MS };
        tell.state(
          verb === 'kill'
            ? await client.request(at, 'host-agent.stop', { name, force: true }, wait)
            : await client.request(at, `host-agent.${verb}`, args, wait),
        );
      } catch (error) {
        const { text, code } = describeFailure(error);
        tell.failure(name, text, code);
      }
    }),
  );
}

async function each(verb: EveryVerb, names: string[], options: Options): Promise<void> {
  for (const name of names) checkName(name);
  if (options.host !== undefined) checkHost(options.host);
  if (names.length === 0 && !options.all)
    throw new VsError('usage', `Name the vservers to ${verb}, or give --all.`);
  if (names.length > 0 && options.all) throw new VsError('usage', 'Give names or --all, not both.');
  const timeout =
    options.timeout === undefined ? undefined : secondsOf(options.timeout, '--timeout', 0, 600) * 1000;
  const states: VserverState[] = [];
  let worst = 0;
  const tell: Told = {
    state(state) {
      states.push(state);
      if (options.json) return;
      const start = state.enabled ? 'enabled' : 'disabled';
      console.log(`${state.name} on ${state.host}: ${verb.endsWith('able') ? start : state.state}`);
    },
    failure(name, text, code) {
      process.stderr.write(`vs: ${name}: ${text}\n`); // told on stderr also with --json
      worst = Math.max(worst, code);
    },
  };
  await withClient((client) =>
    options.all
      ? all(client, verb, options, timeout, tell)
      : named(client, verb, names, options.host, timeout, tell),
  );
  const sorted = states.toSorted((a, b) => a.name.localeCompare(b.name) || a.host.localeCompare(b.host));
  if (options.json) console.log(JSON.stringify(sorted, null, 2));
  process.exitCode = worst;
}

/** `vs start|stop|restart|kill|pause|resume|enable|disable`. */
export function register(program: Command): void {
  for (const verb of Object.keys(summaries) as EveryVerb[]) {
    const command = program
      .command(verb)
      .description(summaries[verb])
      .argument('[name...]', 'names of vservers')
      .option('--all', `every vserver${rows[verb] ?? ''} (of --host, if given)`)
      .option('--host <host>', 'on this host, without asking the master')
      .option('--json', 'their states, for programs')
      .addHelpText(
        'after',
        `\nExamples:\n  vs ${verb} web1 web2\n  vs ${verb} --all --host host1\n  vs ${verb} --all --local      on this host, without broker and master`,
      );
    if (verb === 'stop' || verb === 'restart')
      command.option(
        '--timeout <seconds>',
        'how long they may take to stop in order (0: by force at once); without it as "vs boot" or STOP_TIMEOUT say',
      );
    command.action((names: string[], options: Options) => each(verb, names, options));
  }
}
