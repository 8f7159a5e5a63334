import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { loadSettings } from '../../config/settings.ts';
import { service } from '../../services/transfer/main.ts';
import type { PassKind } from '../../shared/contract/transfer.ts';
import type { Call } from '../../shared/dispatch.ts';
import { createLog } from '../../shared/log.ts';
import { seal, sealKey } from '../../shared/seal.ts';
import type { Context } from '../../shared/service.ts';
import { median, run, say } from './kit.ts';

const call: Call = {
  id: 'bench',
  issuer: 'bench',
  signal: new AbortController().signal,
  progress: () => undefined,
};

/** The transfer service of a host of the bench, in this process; nothing in it needs the bus. */
function host(base: string, name: string) {
  const settings = loadSettings({
    file: '/nonexistent',
    env: {
      VS_HOST: name,
      VS_VSERVER_DIR: join(base, name, 'vservers'),
      VS_RUN_DIR: join(base, name, 'run'),
      VS_STATE_DIR: join(base, name, 'state'),
      VS_MANAGEMENT_ADDRESS: '127.0.0.1',
    },
  });
  return {
    settings,
    one: service({ host: name, settings, log: createLog('error', name), version: '0' } as Context),
  };
}

const fill = `my ($top, $files) = @ARGV; my $at = 0;
for my $d (0 .. int($files / 100)) { my $dir = sprintf "%s/d%03d", $top, $d / 100; mkdir $dir; $dir .= "/s$d"; mkdir $dir;
  for my $f (0 .. 99) { last if $at++ >= $files; open my $to, '>', "$dir/file$f" or die "$!"; print $to chr(65 + $at % 26) x (1500 + 6500 * (($at * 7919) % 1000) / 1000) } }`;
const change = `my ($top, $round) = @ARGV; my $at = 0;
for my $dir (glob "$top/d*/s*") { last if $at++ >= 50; for my $f (1, 2) { open my $to, '>>', "$dir/file$f" or die "$!"; print $to "round $round" } }`;

interface Figures {
  firstMs: number;
  finalMs: number;
}
const ways = ['vs-tools', 'tar, rsync', 'rsync, rsync'] as const;
type Way = (typeof ways)[number];

async function timed(what: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await what();
  return performance.now() - began;
}

/** One way once: the first pass into an empty directory, a hundred files that change, the final pass. */
async function once(base: string, way: Way, round: number): Promise<Figures> {
  const [source, target] = [host(base, 'host1'), host(base, 'host2')];
  const both = { name: 'bench', saga: 'bench' };
  const tree = join(source.settings.VSERVER_DIR, 'bench');
  const copy = join(target.settings.VSERVER_DIR, '.staging/bench.bench/tree');
  rmSync(copy, { recursive: true, force: true });
  mkdirSync(copy, { recursive: true });
  await run(['sync', '-f', base], { timeoutMs: 600_000 });
  async function pass(kind: PassKind, final: boolean): Promise<void> {
    const how = { ...both, copy: 'rsync' as const, channel: 'plain' as const, kind };
    const opened = await target.one.handlers['transfer.open']?.(
      { ...how, fromHost: 'host1', from: '127.0.0.1', ttl: 600_000 },
      call,
    );
    if (!opened) throw new Error('no endpoint');
    const secret = seal(opened.secret, sealKey(source.settings));
    const to = { toHost: 'host2', address: '127.0.0.1', port: opened.port, secret };
    const sent = await source.one.handlers['transfer.send']?.({ ...how, ...to, final }, call);
    if (sent?.full) throw new Error(`no list: ${sent.full}`);
    if (final)
      await target.one.handlers['transfer.verify']?.(
        { ...both, copy: 'rsync', treeBytes: sent?.treeBytes, treeFiles: sent?.treeFiles },
        call,
      );
  }
  const rsync = () =>
    run(['rsync', '-aHAX', '--numeric-ids', '--sparse', '--delete', `${tree}/`, `${copy}/`], {
      timeoutMs: 600_000,
    });
  const tar = '--acls --xattrs --xattrs-include=* --numeric-owner --format=posix';
  const firsts: Record<Way, () => Promise<unknown>> = {
    'vs-tools': () => pass('stream', false),
    'tar, rsync': () =>
      run(['bash', '-c', `tar -c ${tar} --sparse -C "$1" . | tar -xp ${tar} -C "$2"`, 'bash', tree, copy], {
        timeoutMs: 600_000,
      }),
    'rsync, rsync': rsync,
  };
  const firstMs = await timed(firsts[way]);
  if (way === 'vs-tools') {
    await target.one.handlers['transfer.flush']?.(both, call);
    await pass('list', false); // the second live pass, as a move has it: what is left is the margin of the clock alone
  } else await run(['sync', '-f', copy], { timeoutMs: 600_000 });
  await new Promise((resolve) => setTimeout(resolve, 2000));
  if (way === 'vs-tools') await pass('list', false);
  await run(['perl', '-e', change, tree, String(round)]);
  const finalMs = await timed(() => (way === 'vs-tools' ? pass('list', true) : rsync()));
  for (const one of [source, target]) await one.one.handlers['transfer.close']?.(both, call);
  return { firstMs, finalMs };
}

/** Trees of small files on one disk: the first and the final pass of vs-tools beside those of plain tools, in turn; what a file more costs. */
export async function benchTrees(options: { counts: number[]; rounds: number; directory?: string }) {
  const results = [];
  for (const files of options.counts) {
    const base = mkdtempSync(join(options.directory ?? '/var/tmp', 'vslab-trees-'));
    try {
      const tree = join(base, 'host1/vservers/bench');
      mkdirSync(tree, { recursive: true });
      await run(['perl', '-e', fill, tree, String(files)], { timeoutMs: 600_000 });
      const all = new Map<Way, Figures[]>();
      for (let round = 0; round < options.rounds; round++)
        for (const way of round % 2 === 0 ? ways : ways.toReversed()) {
          const figures = await once(base, way, round);
          all.set(way, [...(all.get(way) ?? []), figures]);
          say(
            `${files} files, round ${round + 1}: ${way}: first ${Math.round(figures.firstMs)} ms, final ${Math.round(figures.finalMs)} ms`,
          );
        }
      const of = (way: Way, key: keyof Figures) =>
        Math.round(median((all.get(way) ?? []).map((one) => one[key])));
      results.push({
        files,
        ways: ways.map((way) => ({ way, firstMs: of(way, 'firstMs'), finalMs: of(way, 'finalMs') })),
      });
    } finally {
      rmSync(base, { recursive: true });
    }
  }
  const [small, large] = [results[0], results.at(-1)];
  const growth = (way: Way): number => {
    const at = (one: typeof small) => one?.ways.find((other) => other.way === way)?.finalMs ?? NaN;
    return Number(
      ((1000 * (at(large) - at(small))) / ((large?.files ?? 0) - (small?.files ?? 0))).toFixed(2),
    );
  };
  return { results, growthUs: ways.map((way) => ({ way, us: growth(way) })) };
}

/** The figures as people read them. */
export function treesText({ results, growthUs }: Awaited<ReturnType<typeof benchTrees>>): string {
  const seconds = (ms: number) => `${(ms / 1000).toFixed(2)} s`.padStart(9);
  const lines = ['files     way            first pass  final pass (100 files changed)'];
  for (const { files, ways: found } of results)
    for (const { way, firstMs, finalMs } of found)
      lines.push(`${String(files).padEnd(9)} ${way.padEnd(14)} ${seconds(firstMs)}   ${seconds(finalMs)}`);
  if (results.length > 1)
    lines.push(
      `the final pass grows by ${growthUs.map(({ way, us }) => `${us} us a file (${way})`).join(', ')}`,
    );
  return lines.join('\n');
}
