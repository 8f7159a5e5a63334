import { run } from '../../shared/run.ts';
import { entering } from './enter.ts';
import { type Lab, type LabNode, paths } from './model.ts';
import { initOf, serviceProcesses } from './processes.ts';

/** A script for bash on a host: $1 is how many MB are left free in /var/lib/vservers. */
const fillHost = `cd /var/lib/vservers || exit 1
rm -f .vslab-full; sync -f .
free=$(df -BM --output=avail . | tail -1 | tr -dc 0-9)
[ "$free" -le "$1" ] || fallocate -l $((free - $1))M .vslab-full
sync -f .`;
const emptyHost = 'rm -f /var/lib/vservers/.vslab-full; sync -f /var/lib/vservers';

/**
 * A script for bash on the master: the journals of the sagas come onto a disk of their own of 8 MB, of which nothing is
 * left free. The master has the machine's disk otherwise, which is nobody's to fill.
 */
const fillMaster = `set -e
sagas=/var/lib/vs-tools/sagas; image=/run/vslab-node/data/full.img; at=/run/vslab-node/full
mkdir -p "$sagas" "$at"
if ! mountpoint -q "$sagas"; then
  rm -f "$image"; truncate -s 8M "$image"
  mkfs.ext4 -q -m 0 -N 2000 "$image"
  mount -o loop "$image" "$at"
  cp -a "$sagas/." "$at/"
  mount --move "$at" "$sagas"
fi
dd if=/dev/zero of="$sagas/.vslab-full" bs=4k status=none 2>/dev/null || true
sync -f "$sagas"`;
const emptyMaster = `umount /var/lib/vs-tools/sagas; rm -f /run/vslab-node/data/full.img`;

/** Where the journals of a lab lie, as this machine sees them: also while they are on the full disk. */
export async function journalsOf(lab: Lab): Promise<string> {
  const init = await initOf(lab.name, 'master');
  return init === undefined
    ? `${paths(lab.name).node('master')}/state/sagas`
    : `/proc/${init}/root/var/lib/vs-tools/sagas`;
}

async function inside(lab: Lab, node: LabNode, script: string, ...words: string[]): Promise<void> {
  const argv = [...(await entering(lab, node.name)), 'bash', '-c', script, 'vslab', ...words];
  await run(argv, { timeoutMs: 120_000 });
}

/** Holds the master's services while their directory is changed under them. */
async function held(lab: Lab, work: () => Promise<void>): Promise<void> {
  const master = (await serviceProcesses(lab.name, 'master')).find((one) => one.name === 'master');
  const tell = (signal: 'SIGSTOP' | 'SIGCONT') => {
    try {
      if (master) process.kill(master.pid, signal);
    } catch {
      // it has ended
    }
  };
  tell('SIGSTOP');
  try {
    await work();
  } finally {
    tell('SIGCONT');
  }
}

/** Fills the disk of a host but for so many MB, or that of the master's journals wholly. It lasts until `emptyDisk`. */
export async function fillDisk(lab: Lab, node: LabNode, leave: number): Promise<void> {
  if (node.role === 'host') return inside(lab, node, fillHost, String(leave));
  await held(lab, () => inside(lab, node, fillMaster));
}

/** Ends it; what was journaled meanwhile is kept. */
export async function emptyDisk(lab: Lab, node: LabNode): Promise<void> {
  if (node.role === 'host') return inside(lab, node, emptyHost);
  const full = `${await journalsOf(lab)}/`;
  const own = `${paths(lab.name).node('master')}/state/sagas/`;
  const { code } = await run(
    [...(await entering(lab, 'master')), 'mountpoint', '-q', '/var/lib/vs-tools/sagas'],
    { okCodes: [0, 1, 32] },
  );
  if (code !== 0) return;
  await held(lab, async () => {
    // the archive is held open by the orchestrator, which has it still where it was
    const leaveOut = ['/.vslab-full', '/lost+found', '/archive.db*'].flatMap((one) => ['--exclude', one]);
    await run(['rsync', '-a', '--delete', ...leaveOut, full, own], { timeoutMs: 60_000 });
    await inside(lab, node, emptyMaster);
  });
}
