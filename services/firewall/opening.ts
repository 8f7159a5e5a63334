import { isIPv4 } from 'node:net';
import type { Args } from '../../shared/contract/commands.ts';
import { RunError, run } from '../../shared/run.ts';

const table = 'inet vs';
const inside = (pid: number, ...nft: string[]) => ['nsenter', '-t', String(pid), '-n', 'nft', ...nft];

/** One transaction: what was open before is closed, and this is open for so many seconds. */
export function openingBatch({ to, resolvers, seconds }: Omit<Args<'firewall.open'>, 'name'>): string {
  const flush = ['mirrors4', 'mirrors6', 'resolvers4', 'resolvers6'].map(
    (set) => `flush set ${table} ${set}`,
  );
  const add = (set: string, elements: string[]) =>
    elements.length === 0
      ? []
      : [`add element ${table} ${set} { ${elements.map((one) => `${one} timeout ${seconds}s`).join(', ')} }`];
  const mirrors = (four: boolean) => [
    ...new Set(to.filter((one) => isIPv4(one.address) === four).map((one) => `${one.address} . ${one.port}`)),
  ];
  const known = (four: boolean) => [...new Set(resolvers)].filter((one) => isIPv4(one) === four);
  return `${[
    ...flush,
    ...add('mirrors4', mirrors(true)),
    ...add('mirrors6', mirrors(false)),
    ...add('resolvers4', known(true)),
    ...add('resolvers6', known(false)),
  ].join('\n')}\n`;
}

/** Has this namespace rules of a firewall? */
async function isGuarded(pid: number): Promise<boolean> {
  const { code } = await run(inside(pid, 'list', 'table', 'inet', 'vs'), { okCodes: [0, 1] });
  return code === 0;
}

/** Opens for a time; false when there is no firewall to open. Throws RunError for rules that an older version made. */
export async function open(pid: number, args: Args<'firewall.open'>): Promise<boolean> {
  if (!(await isGuarded(pid))) return false;
  try {
    await run(inside(pid, '-f', '-'), { input: openingBatch(args) });
  } catch (error) {
    if (!(error instanceof RunError) || !/No such file/.test(error.stderr)) throw error;
    const why = `the rules of ${args.name} are of an older version, which cannot be opened: vs restart ${args.name}`;
    throw new RunError(error.argv, error.exitCode, error.stderr, why, error);
  }
  return true;
}

/** Closes what is open; rules of an older version have nothing open. */
export async function close(pid: number): Promise<void> {
  if (!(await isGuarded(pid))) return;
  const nothing = { to: [], resolvers: [], seconds: 1 };
  await run(inside(pid, '-f', '-'), { input: openingBatch(nothing), okCodes: [0, 1] });
}

/** What is open at the moment, so that rules which are loaded anew keep it open: their sets begin empty. */
export function remember() {
  const known = new Map<string, { args: Args<'firewall.open'>; until: number }>();
  return {
    add(args: Args<'firewall.open'>): void {
      known.set(args.name, { args, until: performance.now() + args.seconds * 1000 });
    },
    drop: (name: string) => void known.delete(name),
    /** Statements for the transaction that loads the rules. */
    statements(name: string): string {
      const one = known.get(name);
      const seconds = one ? Math.floor((one.until - performance.now()) / 1000) : 0;
      return one && seconds > 0 ? openingBatch({ ...one.args, seconds }) : '';
    },
  };
}
