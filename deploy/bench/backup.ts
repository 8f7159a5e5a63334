import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LabStatus } from '../lab/status.ts';
import type { SagaState } from '../../shared/contract/saga.ts';
import { type BenchLab, median, say, withLab } from './kit.ts';
import { management } from './move-stage.ts';
import { awaitAnswer, probed } from './prober.ts';
import type { SetName, Storage } from './report.ts';
import { type Shell, openShell } from './shell.ts';

/** What is measured, in this order: nothing is there yet; nothing has changed; `tree_churn` has been (1 % of the files, 50 MB in place). */
export const phases = ['first', 'unchanged', 'changed'] as const;
type Phase = (typeof phases)[number];
export const ways = ['vs', 'rsync --link-dest', 'restic'] as const;
export type Way = (typeof ways)[number];
export interface BackupFigures {
  /** From the command until all of it is on the disk. */
  ms: number;
  /** Of the processor, in all processes of both sides, seconds. */
  cpuSeconds: number;
  /** Of vs: its steps, ms. */
  steps?: Record<string, number>;
}
/** How backups of the repository share what did not change: by hard links on the disk of the lab, or as snapshots on a btrfs of its own. */
export type Sharing = 'links' | 'btrfs';
/** How long the service of the vserver does not answer (ms), asked from outside every 10 ms. */
export interface Pauses {
  hot: number;
  cold: number;
  /** Its stop and start alone: below that no cold backup can be. */
  restart: number;
}
/** By storage and set, then by phase and way: each round. */
export type BackupResults = Record<
  string,
  Record<Phase, Partial<Record<Way, BackupFigures[]>>> & { pauses: Pauses[] }
>;

const TREE = '/var/lib/vservers/web1';
const HAND = '/var/lib/vs-tools/hand';
const BACKUPS = '/var/lib/vs-tools/backups';
const PORT = 8740;
/** What is written in the two seconds before a backup is sent again by the next one. */
const SETTLE_MS = 3000;

/** Processor time of a process and of its children that have ended (s). */
const ticksIn = (stat: string): number =>
  (stat.split(') ')[1]?.split(' ') ?? []).slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) / 100;
const cpuOf = (pid: number): number => ticksIn(readFileSync(`/proc/${pid}/stat`, 'latin1'));
const sumOf = (pids: number[]): number => pids.reduce((sum, pid) => sum + cpuOf(pid), 0);

async function measured(pids: number[], work: () => Promise<Partial<BackupFigures>>): Promise<BackupFigures> {
  const [cpu, begun] = [sumOf(pids), performance.now()];
  const more = await work();
  const ms = Math.round(performance.now() - begun);
  const { cpuSeconds = 0 } = more;
  return { ...more, ms, cpuSeconds: Number((sumOf(pids) - cpu + cpuSeconds).toFixed(2)) };
}

/** Seconds that bash's `times` has of the children of a shell, in its second line; in a pipe it would tell of another shell. */
const timed = (script: string): string => `{ ${script}; } >/dev/null; times`;
const secondsIn = (text: string): number =>
  [...(text.trim().split('\n').at(-1) ?? '').matchAll(/(\d+)m([\d.]+)s/g)].reduce(
    (sum, [, minutes, rest]) => sum + Number(minutes) * 60 + Number(rest),
    0,
  );

interface Stage {
  lab: BenchLab;
  host: Shell;
  master: Shell;
  status: LabStatus;
}

/** The ways, each of which is asked for a first one and for further ones. */
async function waysOf({
  lab,
  host,
  master,
  status,
}: Stage): Promise<Partial<Record<Way, (number: number) => Promise<BackupFigures>>>> {
  const pids = status.nodes.flatMap((node) =>
    node.processes.filter(({ name }) => name !== 'broker').map(({ pid }) => pid),
  );
  const state = status.nodes.find(({ role }) => role === 'master')?.data ?? '';
  const daemon = `${HAND}.conf`;
  await host.run(`cat >/var/lib/vs-tools/hand.conf <<'END'
pid file = /var/lib/vs-tools/hand.pid
address = ${management.host1}
port = ${PORT}
[tree]
path = ${TREE}
uid = root
gid = root
numeric ids = yes
hosts allow = 10.98.0.0/16
reverse lookup = no
END
rsync --daemon --config=${daemon}`);
  /** Of the daemon and its children that have ended: it has a process number of its own in there. */
  const served = async (): Promise<number> => {
    const text = await host.run('sleep 0.2; cat "/proc/$(cat /var/lib/vs-tools/hand.pid)/stat"');
    return ticksIn(text);
  };
  return {
    vs: () =>
      measured(pids, async () => {
        const saga = JSON.parse(await lab.vs(['backup', 'run', 'web1', '--json'], 1_800_000)) as SagaState;
        return { steps: Object.fromEntries(saga.steps.map(({ step, ms }) => [step, ms ?? 0])) };
      }),
    'rsync --link-dest': async (number) => {
      const before = await served();
      const figures = await measured([], async () => {
        const basis = number > 1 ? `--link-dest=${HAND}/${number - 1}` : '';
        const words = `rsync -aHAX --numeric-ids --delete ${basis} rsync://${management.host1}:${PORT}/tree/ ${HAND}/${number}/`;
        const cpuSeconds = secondsIn(await master.run(timed(`${words}; sync -f ${HAND}`), 1_800_000));
        return { cpuSeconds };
      });
      const cpuSeconds = Number((figures.cpuSeconds + (await served()) - before).toFixed(2));
      return { ...figures, cpuSeconds };
    },
    ...(existsSync('/usr/bin/restic')
      ? {
          restic: (number) =>
            measured([], async () => {
              const to = `export RESTIC_PASSWORD=bench RESTIC_REPOSITORY=${state}/restic RESTIC_CACHE_DIR=${state}/restic-cache`;
              const init = number > 1 ? 'true' : 'restic init -q';
              const words = `${to}; ${init}; restic backup -q --exclude ${TREE}/config ${TREE}; sync -f ${state}`;
              const cpuSeconds = secondsIn(await host.run(timed(words), 1_800_000));
              return { cpuSeconds };
            }),
        }
      : {}),
  };
}

/** One round in a lab of its own: all ways a first time, all of them again, and once more after something has changed. */
async function measure(
  lab: BenchLab,
  { source, set, odd, repository }: { source: string; set: SetName; odd: boolean; repository: Sharing },
) {
  const here = (file: string) => new URL(file, import.meta.url).pathname;
  const before = `ROOT='${here('../..')}'\n. "$ROOT/deploy/bench/plain.sh"\n. "$ROOT/deploy/bench/ways.sh"\n`;
  const [host, master, prober] = await Promise.all([
    openShell(lab, 'host1', before),
    openShell(lab, 'master', before),
    openShell(lab, 'prober'),
  ]);
  if (source !== 'busybox') await lab.vs(['template', 'build', source], 900_000);
  await lab.vs(['create', 'web1', '10.60.10.5', source, '--host', 'host1', '--start'], 300_000);
  if (source !== 'busybox')
    await lab.vs(['exec', 'web1', '--', 'sh', '-c', readFileSync(here('../hello.sh'), 'utf8')]);
  await awaitAnswer(prober, '10.60.10.5');
  await host.run(`tree_fill ${TREE}/rootfs ${set}`);
  const status = JSON.parse(await lab.lab('status', '--json')) as LabStatus;
  await master.run(`mkdir -p -m 0700 ${HAND}`);
  if (repository === 'btrfs')
    await master.run(`truncate -s 20G ${HAND}.img; mkfs.btrfs -q ${HAND}.img; mount -o loop ${HAND}.img ${HAND}
mkdir -m 0700 ${HAND}/backups; mkdir -p -m 0700 ${BACKUPS}; mount --bind ${HAND}/backups ${BACKUPS}`);
  const all = Object.entries(await waysOf({ lab, host, master, status })) as [
    Way,
    (number: number) => Promise<BackupFigures>,
  ][];
  const found = {} as Record<Phase, Partial<Record<Way, BackupFigures>>>;
  for (const [index, phase] of phases.entries()) {
    if (phase === 'changed') await host.run(`tree_churn ${TREE}/rootfs`);
    for (const [way, backup] of odd ? all.toReversed() : all) {
      await host.run('settled');
      await master.run(`sync -f ${HAND}`);
      await sleep(SETTLE_MS);
      const figures = await backup(index + 1);
      (found[phase] ??= {})[way] = figures;
      say(`${set}, ${phase}: ${way}: ${figures.ms} ms, ${figures.cpuSeconds} s of the processor`);
    }
  }
  await host.run('kill "$(cat /var/lib/vs-tools/hand.pid)"');
  return { ...found, pauses: await pausesOf(lab, prober) };
}

/** What a person outside notices of a hot and of a cold backup, and of a restart. */
async function pausesOf(lab: BenchLab, prober: Shell): Promise<Pauses> {
  const during = async (words: string[], gapless = false) => {
    await sleep(SETTLE_MS);
    const work = () => lab.vs(words, 1_800_000);
    const { downtimeMs } = await probed(lab, prober, '10.60.10.5', work, { gapless });
    say(`${words.join(' ')}: ${downtimeMs} ms without an answer`);
    return downtimeMs;
  };
  return {
    hot: await during(['backup', 'run', 'web1', '--mode', 'hot'], true),
    restart: await during(['restart', 'web1']),
    cold: await during(['backup', 'run', 'web1', '--mode', 'cold']),
  };
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;

/** The medians, and vs as a multiple of rsync's, for people. */
export function backupText(results: BackupResults, rounds: number, repository: Sharing): string {
  const lines = [
    `one vserver into a repository on the master (${repository === 'btrfs' ? 'a btrfs: snapshots' : 'hard links'}), medians of ${rounds} rounds, in turn; processor time of both sides in brackets`,
  ];
  for (const [where, by] of Object.entries(results)) {
    lines.push('', `${where.padEnd(12)}${ways.map((way) => way.padStart(24)).join('')}   vs : rsync`);
    for (const phase of phases) {
      const of = (way: Way, key: 'ms' | 'cpuSeconds') =>
        median((by[phase][way] ?? []).map((one) => one[key]));
      const cells = ways.map((way) =>
        (by[phase][way] ? `${seconds(of(way, 'ms'))} (${of(way, 'cpuSeconds').toFixed(1)} s)` : '-').padStart(
          24,
        ),
      );
      const ratio = (key: 'ms' | 'cpuSeconds') => (of('vs', key) / of('rsync --link-dest', key)).toFixed(2);
      lines.push(`  ${phase.padEnd(10)}${cells.join('')}   ${ratio('ms')} (${ratio('cpuSeconds')})`);
    }
    const pause = (key: keyof Pauses) => median(by.pauses.map((one) => one[key]));
    lines.push(
      `  without an answer: hot ${pause('hot')} ms, cold ${pause('cold')} ms, a restart ${pause('restart')} ms`,
    );
    for (const phase of phases) {
      const steps = by[phase].vs?.at(-1)?.steps ?? {};
      const text = Object.entries(steps).map(([step, ms]) => `${step} ${(ms / 1000).toFixed(2)}`);
      lines.push(`  vs, ${phase}: ${text.join(', ')}`);
    }
  }
  if (!existsSync('/usr/bin/restic'))
    lines.push('', 'restic is not installed (apt-get install restic), so it is left out');
  return lines.join('\n');
}

/** `bench backup`: a first, an unchanged and a changed backup beside rsync --link-dest and restic by hand; the exit code. */
export async function benchBackup(options: {
  lab: string;
  rounds: number;
  json: boolean;
  source: string;
  sets: readonly SetName[];
  storage: readonly Storage[];
  repository: Sharing;
  signal: AbortSignal;
}): Promise<number> {
  const { source, rounds, repository } = options;
  const results: BackupResults = {};
  for (const storage of options.storage)
    for (const set of options.sets)
      for (let round = 0; round < rounds; round++) {
        const found = await withLab(options.lab, storage, options.signal, (lab) =>
          measure(lab, { source, set, odd: round % 2 === 1, repository }),
        );
        const into = (results[`${storage} ${set}`] ??= { first: {}, unchanged: {}, changed: {}, pauses: [] });
        into.pauses.push(found.pauses);
        for (const phase of phases)
          for (const way of ways) {
            const figures = found[phase][way];
            if (figures) (into[phase][way] ??= []).push(figures);
          }
      }
  console.log(
    options.json
      ? JSON.stringify({ source, rounds, repository, results })
      : backupText(results, rounds, repository),
  );
  return 0;
}
