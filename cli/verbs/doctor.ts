import type { Command } from 'commander';
import type { Args } from '../../shared/contract/commands.ts';
import type { Finding } from '../../shared/contract/doctor.ts';
import { VsError } from '../../shared/errors.ts';
import { type Client, withClient } from '../client.ts';
import { describeFailure } from '../exit.ts';
import { checkHost } from '../names.ts';

interface Options {
  all?: boolean;
  fix?: boolean;
  quiet?: boolean;
  json?: boolean;
}
interface Report {
  target: string;
  findings: Finding[];
}
/** A look copies nothing and builds nothing: who takes longer does not answer (ms). */
const LOOK_MS = 60_000;
/** Commands are refused when clocks differ by more than a minute; files that are compared by their times suffer before (ms). */
const CLOCK_WARN_MS = 2000;
const CLOCK_FAIL_MS = 60_000;

/** How far the clock of a target is from ours, ms, by its time of day and how long the question took. */
export const skewOf = (before: number, after: number, theirs: number): number =>
  Math.round(theirs - (before + after) / 2);

/** Decides about the difference of two clocks; `slack` is how unsure it is, ms. */
export function judgeClock(skew: number, slack: number): Finding {
  const off = Math.max(0, Math.abs(skew) - slack);
  const text = `${(Math.abs(skew) / 1000).toFixed(1)} s ${skew < 0 ? 'behind' : 'before'} the master`;
  const todo = 'let all hosts keep the time: apt-get install chrony';
  if (off >= CLOCK_FAIL_MS) return { check: 'clock', result: 'fail', message: text, todo };
  if (off >= CLOCK_WARN_MS) return { check: 'clock', result: 'warn', message: text, todo };
  return { check: 'clock', result: 'ok', message: 'as that of the master' };
}

const failed = (check: string, error: unknown): Finding => ({
  check,
  result: 'fail',
  message: describeFailure(error).text,
  todo: 'look at its log: journalctl -u vs-agent (vs-master on the master)',
});

async function lookAtMaster(client: Client): Promise<Report & { skew?: number; ts?: number }> {
  try {
    const before = Date.now();
    const { findings, ts } = await client.request('master', 'master-doctor.look', {}, { timeoutMs: LOOK_MS });
    return { target: 'master', findings, skew: skewOf(before, Date.now(), ts), ts };
  } catch (error) {
    return { target: 'master', findings: [failed('master', error)] };
  }
}

async function lookAtHost(
  client: Client,
  host: string,
  args: Args<'doctor.look'>,
  master: number | undefined,
): Promise<Report> {
  try {
    const before = Date.now();
    const { findings, ts } = await client.request(host, 'doctor.look', args, { timeoutMs: LOOK_MS });
    const after = Date.now();
    if (master !== undefined)
      findings.push(judgeClock(skewOf(before, after, ts) - master, (after - before) / 2));
    return { target: host, findings };
  } catch (error) {
    return { target: host, findings: [failed('agent', error)] };
  }
}

/** So many sagas, and so many characters, are surely all in one answer; with more nothing of sagas is judged. */
const MOST_SAGAS = 100;
const MOST_ANSWER = 500_000;

/** The sagas that run, as of a time before they were asked for (ms, the master's clock): what begins meanwhile is later than that. */
async function runningSagas(client: Client, asOf: number | undefined): Promise<Args<'doctor.look'>['sagas']> {
  if (asOf === undefined) return undefined;
  const args = { running: true, limit: MOST_SAGAS };
  const all = await client.request('master', 'orchestrator.sagas', args).catch(() => undefined);
  // a journal that cannot be read may be of one that runs
  if (!all || all.sagas.length >= MOST_SAGAS || (all.damaged ?? []).length > 0) return undefined;
  if (JSON.stringify(all.sagas).length > MOST_ANSWER) return undefined;
  return { running: all.sagas.map((one) => one.id), asOf };
}

/** Hosts that are there, each with a port at which it listens for the others. */
async function peersOf(client: Client, hosts: string[]): Promise<NonNullable<Args<'doctor.look'>['peers']>> {
  const asked = hosts.map(async (host) => {
    try {
      return [
        { host, ...(await client.request(host, 'doctor.listen', { seconds: 30 }, { timeoutMs: 5000 })) },
      ];
    } catch {
      return []; // its own look tells
    }
  });
  return (await Promise.all(asked)).flat();
}

const marks = { ok: 'ok  ', warn: 'WARN', fail: 'FAIL' };
const colours = { ok: '\u001B[32m', warn: '\u001B[33m', fail: '\u001B[31m' };

/** The lines of a report for people. */
export function lines({ target, findings }: Report, quiet: boolean, coloured: boolean): string[] {
  const shown = quiet ? findings.filter((one) => one.result !== 'ok') : findings;
  if (shown.length === 0) return quiet ? [] : [target];
  const paint = (result: Finding['result']) =>
    coloured ? `${colours[result]}${marks[result]}\u001B[0m` : marks[result];
  return [
    target,
    ...shown.flatMap((one) => [
      `  ${paint(one.result)}  ${one.check.padEnd(11)}  ${one.message}`,
      ...(one.fixed === undefined
        ? one.todo === undefined
          ? []
          : [`                     ${one.todo}`]
        : [`                     mended: ${one.fixed}`]),
    ]),
  ];
}

async function doctor(wanted: string[], options: Options): Promise<void> {
  if (wanted.length > 0 && options.all) throw new VsError('usage', 'Name hosts, or give --all.');
  for (const host of wanted) if (host !== 'master') checkHost(host);
  const reports = await withClient(async (client) => {
    const master = await lookAtMaster(client);
    const listed = await client
      .request('master', 'orchestrator.hosts', {})
      .then(({ hosts }) => hosts)
      .catch(() => undefined);
    const sagas = await runningSagas(client, master.ts);
    const everyone = (listed ?? []).filter((one) => one.state === 'online').map((one) => one.host);
    const named = wanted.filter((one) => one !== 'master');
    const strange = listed && named.find((one) => !listed.some(({ host }) => host === one));
    if (strange !== undefined)
      throw new VsError(
        'not-found',
        `there is no host ${strange}; the pool has ${listed?.map((one) => one.host).join(', ')}`,
      );
    const hosts = wanted.length > 0 ? named : everyone;
    const peers = await peersOf(client, everyone);
    const args = { peers, ...(sagas ? { sagas } : {}), ...(options.fix ? { fix: true } : {}) };
    const looks = hosts.map((host) => lookAtHost(client, host, args, master.skew));
    const { target, findings } = master;
    const withMaster = wanted.length === 0 || wanted.includes('master');
    return [...(withMaster ? [{ target, findings }] : []), ...(await Promise.all(looks))];
  });
  const isBad = (one: Finding) => one.result === 'fail' && one.fixed === undefined;
  if (options.json) console.log(JSON.stringify(reports, null, 2));
  else {
    const coloured = process.stdout.isTTY && !process.env['NO_COLOR'];
    for (const report of reports)
      for (const line of lines(report, options.quiet === true, coloured)) console.log(line);
    const all = reports.flatMap((one) => one.findings);
    const count = (result: Finding['result']) => all.filter((one) => one.result === result).length;
    console.log(`${count('ok')} ok, ${count('warn')} to look at, ${count('fail')} to mend`);
  }
  process.exitCode = reports.some((one) => one.findings.some(isBad)) ? 1 : 0;
}

/** `vs doctor [HOST...]`. */
export function register(program: Command): void {
  program
    .command('doctor')
    .description('look whether hosts and the master are fit, and say what to do')
    .argument('[host...]', 'hosts, or master; all of them unless told')
    .option('--all', 'the master and all hosts that are online (as without a name)')
    .option('--fix', 'mend what is safe: what is left of sagas that have ended, mounts, modes')
    .option('-q, --quiet', 'only what is not in order')
    .option('--json', 'for programs')
    .addHelpText(
      'after',
      '\nExits with 1 when something is to be mended.\n\nExamples:\n  vs doctor\n  vs doctor host1 --fix\n  vs doctor --quiet --json',
    )
    .action(doctor);
}
