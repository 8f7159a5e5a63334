import type { SagaState } from '../../shared/contract/saga.ts';
import { type BenchLab, median, say, withLab } from './kit.ts';
import { benchTrees, treesText } from './trees.ts';

const hosts = ['host1', 'host2'] as const;
const copies = ['rsync', 'btrfs-send'] as const;
const channels = ['plain', 'tls'] as const;
/** What slaves.conf and the command line say for each way. */
const wishes = { plain: 'rsyncd', tls: 'rsyncd-tls' } as const;
type Way = `${(typeof copies)[number]} ${(typeof channels)[number]}`;
interface Figures {
  seedMs: number;
  finalMs: number;
  bytes: number;
}

/** A tree of large and of many small files that does not compress. */
const fill = `cd /var/lib/vservers/web1/rootfs && mkdir -p bench/small && cd bench
for i in 1 2 3 4; do head -c 100M /dev/urandom > large$i; done
head -c 40M /dev/urandom | split -b 8k -a 4 - small/; sync -f .`;

async function move(
  lab: BenchLab,
  copy: (typeof copies)[number],
  channel: (typeof channels)[number],
  to: string,
) {
  const lines = hosts.map((host) => `${host}:transport=${wishes[channel]}`).join('\\n');
  await lab.lab('exec', 'master', '--', 'sh', '-c', `printf '${lines}\\n' > /etc/vs-tools/slaves.conf`);
  const how = copy === 'rsync' ? wishes[channel] : 'btrfs-send';
  const saga = JSON.parse(
    await lab.vs(['move', 'web1', to, '--transport', how, '--json'], 600_000),
  ) as SagaState;
  const ms = (step: string) => saga.steps.find((one) => one.step === step)?.ms ?? NaN;
  return { seedMs: ms('seed'), finalMs: ms('final'), bytes: saga.bytes ?? NaN };
}

/** `bench transfer`: the same tree by rsync and btrfs-send, in the clear and through TLS, in turn in one lab; the exit code. */
export async function benchTransfer(options: {
  lab: string;
  rounds: number;
  json: boolean;
  signal: AbortSignal;
  /** Trees of so many files instead (trees.ts). */
  counts?: number[];
}): Promise<number> {
  if (options.counts) {
    const found = await benchTrees({ counts: options.counts, rounds: options.rounds });
    console.log(options.json ? JSON.stringify(found) : treesText(found));
    return 0;
  }
  const all = new Map<Way, Figures[]>();
  await withLab(options.lab, 'btrfs', options.signal, async (lab) => {
    await lab.vs(['create', 'web1', '10.60.10.5', 'busybox', '--host', 'host1', '--start']);
    await lab.lab('exec', 'host1', '--', 'sh', '-c', fill);
    let at = 0;
    for (let round = 0; round < options.rounds; round++)
      for (const copy of copies)
        for (const channel of round % 2 === 0 ? channels : channels.toReversed()) {
          at = 1 - at;
          const to = hosts[at] ?? hosts[0];
          await lab.lab('exec', to, '--', 'sync', '-f', '/var/lib/vservers');
          const figures = await move(lab, copy, channel, to);
          const way: Way = `${copy} ${channel}`;
          all.set(way, [...(all.get(way) ?? []), figures]);
          say(`round ${round + 1}: ${way}: seed ${figures.seedMs} ms, final ${figures.finalMs} ms`);
        }
  });
  const of = (way: Way) => {
    const rounds = all.get(way) ?? [];
    const middle = (key: keyof Figures) => Math.round(median(rounds.map((one) => one[key])));
    return { seedMs: middle('seedMs'), finalMs: middle('finalMs'), bytes: middle('bytes'), rounds };
  };
  const results = copies.map((copy) => {
    const [plain, tls] = [of(`${copy} plain`), of(`${copy} tls`)];
    return { copy, plain, tls, ratio: Number((tls.seedMs / plain.seedMs).toFixed(2)) };
  });
  if (options.json) {
    console.log(JSON.stringify({ rounds: options.rounds, results }));
    return 0;
  }
  const seconds = (ms: number) => `${(ms / 1000).toFixed(2)} s`;
  console.log(`440 MB in 5120 small and 4 large files, medians of ${options.rounds} rounds, in turn`);
  for (const { copy, plain, tls, ratio } of results)
    console.log(
      `${copy.padEnd(12)} first pass: in the clear ${seconds(plain.seedMs)}, TLS ${seconds(tls.seedMs)}, ${ratio} x; final pass: ${seconds(plain.finalMs)}, TLS ${seconds(tls.finalMs)}`,
    );
  return 0;
}
