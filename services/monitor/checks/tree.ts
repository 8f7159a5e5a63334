/** A process as a tree shows it. `pid` as the host sees it, `own` as the vserver does; bytes, seconds. */
export interface TreeProcess {
  pid: number;
  parent: number;
  own: number;
  title: string;
  bytes: number;
  seconds: number;
}
/** A mail of 80 columns keeps it as it is. */
const COLUMNS = 72;
const DEEPEST = 12;

/** A process by /proc/PID/status, stat and cmdline; undefined when it has ended. Of its words the first alone: others may be secrets. */
export function treeProcess(status: string, stat: string, cmdline: string): TreeProcess | undefined {
  const field = (key: string) => new RegExp(`^${key}:\\s+(.*)$`, 'm').exec(status)?.[1] ?? '';
  const pid = Number(field('Pid'));
  if (!Number.isSafeInteger(pid) || pid <= 0) return undefined;
  const rest = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [user, system] = [Number(rest[11] ?? 0), Number(rest[12] ?? 0)];
  const name = field('Name');
  const program = cmdline.split('\0')[0] ?? '';
  // a program may write its whole title into its first word, as nginx, postgres and sshd do
  const title = field('State').startsWith('Z') ? `${name} (has ended)` : program || `[${name}]`;
  return {
    pid,
    parent: Number(field('PPid')),
    own: Number(field('NSpid').split(/\s+/).at(-1)) || pid,
    title: Buffer.from(title, 'latin1')
      .toString('utf8')
      .replaceAll(/[\p{Cc}\p{Cf}]/gu, '?')
      .slice(0, 100),
    bytes: 1024 * (Number.parseInt(field('VmRSS'), 10) || 0),
    seconds: (user + system) / 100 || 0,
  };
}

interface Branch {
  one: TreeProcess;
  /** So many that are alike and have no children stand in this line; 1: it alone. */
  count: number;
  bytes: number;
  seconds: number;
  below: Branch[];
}
const all = (branch: Branch, key: 'bytes' | 'seconds'): number => {
  let sum = 0;
  for (const waiting = [branch]; waiting.length > 0;) {
    const next = waiting.pop();
    sum += next?.[key] ?? 0;
    waiting.push(...(next?.below ?? []));
  }
  return sum;
};

/** Children that are alike and have none of their own become one. */
function joined(branches: Branch[]): Branch[] {
  const leaves = new Map<string, Branch>();
  return branches.filter((branch) => {
    if (branch.below.length > 0) return true;
    const known = leaves.get(branch.one.title);
    if (!known) return leaves.set(branch.one.title, branch);
    known.count++;
    known.bytes += branch.bytes;
    known.seconds += branch.seconds;
    return false;
  });
}
function size(bytes: number): string {
  if (bytes < 1e6) return `${Math.round(bytes / 1e3)} kB`;
  return bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}
const time = (seconds: number): string =>
  `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, '0')}`;

/**
 * The processes of a vserver as a tree in lines of at most 72 columns, the biggest first; at most `most` lines. Those that are
 * alike share a line; what is deeper than 12 stands at 12.
 */
export function treeText(processes: readonly TreeProcess[], most: number, by: 'bytes' | 'seconds'): string {
  const branches = new Map<number, Branch>(
    processes.map((one): [number, Branch] => [
      one.pid,
      { one, count: 1, bytes: one.bytes, seconds: one.seconds, below: [] },
    ]),
  );
  const tops: Branch[] = [];
  for (const branch of branches.values()) {
    const parent = branches.get(branch.one.parent);
    if (parent && parent !== branch) parent.below.push(branch);
    else tops.push(branch);
  }
  const sums = new Map<Branch, number>();
  const weight = (branch: Branch) => {
    const known = sums.get(branch) ?? all(branch, by);
    sums.set(branch, known);
    return known;
  };
  const sorted = (some: Branch[]) =>
    joined(some).toSorted((a, b) => weight(b) - weight(a) || a.one.pid - b.one.pid);
  const lines: string[] = [];
  let shown = 0;
  // depth first, without recursion: a guest decides how deep it is
  const waiting = sorted(tops).map((branch) => ({ branch, depth: 0 }));
  for (let next = waiting.shift(); next && lines.length < most; next = waiting.shift()) {
    const { branch, depth } = next;
    const lead = depth === 0 ? '' : `${'  '.repeat(Math.min(depth, DEEPEST) - 1)}\\_ `;
    const many = branch.count > 1 ? `${branch.count} x ` : '';
    const figures = `${String(branch.one.own).padStart(7)} ${size(branch.bytes).padStart(8)} ${time(branch.seconds).padStart(8)}`;
    lines.push(`${figures}  ${lead}${many}${branch.one.title}`.slice(0, COLUMNS));
    shown += branch.count;
    waiting.unshift(...sorted(branch.below).map((below) => ({ branch: below, depth: depth + 1 })));
  }
  const more = processes.length - shown;
  return [
    '    pid   memory cpu time  process',
    ...lines,
    ...(more > 0 ? [`... and ${more} more processes`] : []),
  ].join('\n');
}
