import { parseArgs } from 'node:util';
import { type Way, allWays, isPeer, sources } from './move-names.ts';
import type { Sharing } from './backup.ts';
import { setNames, storages } from './report.ts';

export const usage = `usage: npm run bench -- cli [--rounds N] [--json]
       npm run bench -- move [--sets S,M,L] [--storage btrfs,dir] [--source busybox|bookworm|trixie] [--rounds N]
                             [--ways 'WAY;WAY'] [--peer lxd] [--svg FILE] [--json]
       npm run bench -- backup [--sets S,M,L] [--storage btrfs,dir] [--repository links|btrfs] [--source busybox|bookworm|trixie]
                             [--rounds N] [--json]
       npm run bench -- transfer [--rounds N] [--json] [--files 10000,100000,500000]
       npm run bench -- fair [--storage btrfs,dir] [--rounds N] [--json]
       npm run bench -- broker [--quick] [--json]
       npm run bench -- monitor [--rounds N] [--json]
       npm run bench -- row [--rounds N] [--json]
cli, move, backup, transfer, fair, monitor and row take --name LAB for the name of their lab (bench unless told). transfer --files N,N: trees of so many small
files on one disk instead, without a lab, beside plain tar and rsync. backup --repository btrfs: into a btrfs that is made
for it, whose backups are snapshots, instead of links on the disk of the lab. move --peer lxd: beside LXD, two daemons of the bench's own, whose
programs come from Debian's packages without being installed.`;

export const benches = ['cli', 'move', 'backup', 'transfer', 'fair', 'broker', 'monitor', 'row'] as const;

/** How many rounds where nobody says it, and not three. */
const usual: Record<string, number> = { cli: 15, fair: 1, backup: 1, row: 12 };

/** The words of a list that are all known; undefined when one is not. */
function among<T extends string>(known: readonly T[], text: string, between = ','): T[] | undefined {
  const found = text.split(between).map((word) => known.find((one) => one === word.trim()));
  return found.every((one) => one !== undefined) ? found : undefined;
}

/** The ways of a move that were asked for; those of a peer belong to it, and come by themselves when none is named. */
function waysOf(named: string | undefined, peer: boolean): Way[] | undefined {
  const peers = peer ? allWays.filter(isPeer) : [];
  if (named === undefined) return [...allWays.filter((way) => !isPeer(way)), ...peers];
  const ways = among(allWays, named, ';');
  if (ways?.some(isPeer) && !peer) throw new Error('the ways of LXD need --peer lxd');
  return ways && !ways.some(isPeer) ? [...ways, ...peers] : ways;
}

/** What was asked for on the command line of the bench; an error says which word is wrong. */
export function wordsOf(argv: string[]) {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
      name: { type: 'string', default: 'bench' },
      rounds: { type: 'string' },
      source: { type: 'string', default: 'bookworm' },
      storage: { type: 'string', default: 'btrfs,dir' },
      sets: { type: 'string', default: 'S' },
      ways: { type: 'string' },
      peer: { type: 'string' },
      svg: { type: 'string' },
      files: { type: 'string' },
      repository: { type: 'string' },
    },
  });
  const [what, ...more] = positionals;
  const bench = benches.find((one) => one === what);
  const rounds = Number(values.rounds ?? usual[what ?? ''] ?? 3);
  const source = sources.find((one) => one === values.source);
  const storage = among(storages, values.storage);
  const sets = among(setNames, values.sets);
  if (values.peer !== undefined && (what !== 'move' || values.peer !== 'lxd'))
    throw new Error('--peer is for move, and lxd is the only one');
  const ways = waysOf(values.ways, values.peer !== undefined);
  if (!bench || more.length > 0 || !source || !storage || !sets || !ways)
    throw new Error(
      positionals.length === 0
        ? 'cli, move, backup, transfer, fair, broker, monitor or row?'
        : `that is none of its words; sets are ${setNames.join(',')}, storages ${storages.join(',')}, ways of a move: ${allWays.join('; ')}`,
    );
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > 1000)
    throw new Error('--rounds is a number from 1 to 1000');
  if (what === 'row' && rounds < 3)
    throw new Error('row compares thirds of its rounds: --rounds is 3 or more');
  const { repository = 'links' } = values;
  if (
    (repository !== 'links' && repository !== 'btrfs') ||
    (values.repository !== undefined && what !== 'backup')
  )
    throw new Error('--repository is for backup, and links or btrfs');
  const counts = values.files?.split(',').map(Number);
  if (counts && (what !== 'transfer' || counts.some((one) => !Number.isInteger(one) || one < 100)))
    throw new Error('--files is for transfer, and a list of numbers from 100 on');
  return {
    what: bench,
    lab: values.name,
    rounds,
    json: values.json,
    quick: values.quick,
    source,
    storage,
    sets,
    ways,
    svg: values.svg,
    repository: repository as Sharing,
    ...(counts ? { counts } : {}),
  };
}
