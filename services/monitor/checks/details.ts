import { cgroupsOf } from '../cgroup.ts';
import { readKernel } from '../read.ts';
import { pidsBelow } from './processes.ts';
import { treeProcess, treeText } from './tree.ts';

/** Texts beside the sentence of an alert, by their title; the alerter puts them into its mails. */
export type Details = Record<string, string>;
/** A fork bomb must neither cost the host nor fill a mail. */
const MOST_PROCESSES = 1000;
const LINES = 60;
/** An alert goes over the bus and is kept: so many characters are all that its details have. */
const CHARACTERS = 6000;

/** At most so many lines and characters, and how many more there are. */
export function boundedText(lines: readonly string[], most = LINES, characters = CHARACTERS): string {
  const kept: string[] = [];
  let room = characters;
  for (const line of lines.slice(0, most)) {
    room -= line.length + 1;
    if (room < 0) break;
    kept.push(line);
  }
  const more = lines.length - kept.length;
  return [...kept, ...(more > 0 ? [`... and ${more} more`] : [])].join('\n');
}

/** Which alerts come with the processes, and by what the biggest is known. */
export function treeOrder(check: string): 'bytes' | 'seconds' | undefined {
  if (/^(cpu|load-\d+|psi-cpu)$/.test(check)) return 'seconds';
  return /^(memory|memory-hits|oom-kills|swap|processes|process-hits|psi-memory|psi-io|io-read|io-write|sockets|daemon-.*)$/.test(
    check,
  )
    ? 'bytes'
    : undefined;
}

/** The processes of the vserver of an init process, as they are now; '' when it has gone. */
export function processTree(pid: number, by: 'bytes' | 'seconds'): string {
  const at = cgroupsOf(readKernel(`/proc/${pid}/cgroup`));
  const directory = at.get('pids') ?? at.get('cpuacct') ?? at.get('');
  const pids = directory === undefined ? [] : pidsBelow(directory);
  const processes = pids.slice(0, MOST_PROCESSES).flatMap((one) => {
    const read = (file: string) => readKernel(`/proc/${one}/${file}`);
    return treeProcess(read('status'), read('stat'), read('cmdline')) ?? [];
  });
  if (processes.length === 0) return '';
  const left = pids.length - MOST_PROCESSES;
  return boundedText([
    ...treeText(processes, LINES - 5, by).split('\n'),
    ...(left > 0 ? [`(${left} more processes were not looked at)`] : []),
  ]);
}

/** What goes along with the alerts of a vserver that begin in one look: its processes are read once for all of them. */
export function detailsOf(pid: number, sockets: () => { diff: readonly string[]; now: readonly string[] }) {
  const trees = new Map<string, string>();
  return (check: string): Details => {
    const by = treeOrder(check);
    const details: Details = {};
    if (check === 'sockets') {
      const { diff, now } = sockets();
      details['Sockets that appeared (+) and vanished (-)'] = boundedText(diff, LINES / 2, CHARACTERS / 3);
      details['Listening now'] = boundedText(now, LINES / 2, CHARACTERS / 3);
    }
    if (by !== undefined) {
      const tree = trees.get(by) ?? processTree(pid, by);
      trees.set(by, tree);
      const most = check === 'sockets' ? CHARACTERS / 3 : CHARACTERS;
      if (tree !== '') details['Processes'] = boundedText(tree.split('\n'), LINES, most);
    }
    return details;
  };
}
