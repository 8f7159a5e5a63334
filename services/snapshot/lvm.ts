import { type RunOptions, run } from '../../shared/run.ts';
import { type Volume, columns, parseVolumes } from './lvm-report.ts';

const LONG = { timeoutMs: 600_000 };

/** The tools of LVM: lvcreate(8), lvs(8), lvextend(8), lvreduce(8), lvchange(8), lvrename(8), lvremove(8). */
const lvm = (argv: string[], options: RunOptions = LONG) => run(argv, options);

/** The volumes of a group, or one by its device or GROUP/NAME. */
export async function volumes(of: string): Promise<Volume[]> {
  const argv = ['lvs', '--reportformat', 'json', '--units', 'b', '--nosuffix', '-o', columns, of];
  return parseVolumes((await lvm(argv)).stdout);
}

const bytesOf = (bytes: number): string => `${Math.ceil(bytes)}b`;
/** A thin volume in a pool. */
export async function createThin(
  group: string,
  pool: string,
  name: string,
  bytes: number,
  tag: string,
): Promise<void> {
  const size = ['--type', 'thin', '--virtualsize', bytesOf(bytes), '--thinpool', pool];
  const how = ['--yes', '--quiet', '--wipesignatures', 'y', '--name', name, '--addtag', tag];
  await lvm(['lvcreate', ...size, ...how, group]);
}

/** A thin snapshot, writable. The kernel holds writes of its origin for the moment, and what is journaled is on the disk. */
export async function snapshotThin(group: string, origin: string, name: string, tag: string): Promise<void> {
  const how = ['--snapshot', '--setactivationskip', 'n', '--name', name, '--addtag', tag];
  await lvm(['lvcreate', '--yes', '--quiet', ...how, `${group}/${origin}`]);
}

/** LVM's own daemon does not watch a snapshot, also not after it was grown: that unmounts what overflows. */
const unwatched = ['--config', 'activation/monitoring=0'];

/** A thick snapshot with room for so many bytes of changes. */
export async function snapshotThick(
  group: string,
  origin: string,
  name: string,
  bytes: number,
  tag: string,
): Promise<void> {
  const how = ['--snapshot', '--size', bytesOf(bytes), '--name', name, '--addtag', tag];
  await lvm(['lvcreate', ...unwatched, '--yes', '--quiet', ...how, `${group}/${origin}`]);
}

/** Gives a thick snapshot room for more. */
export const growSnapshot = async (group: string, name: string, bytes: number): Promise<void> =>
  void (await lvm([
    'lvextend',
    ...unwatched,
    '--yes',
    '--quiet',
    '--size',
    bytesOf(bytes),
    `${group}/${name}`,
  ]));

/** Brings a volume to a size; what is in it is not touched. */
export async function resizeVolume(group: string, name: string, from: number, to: number): Promise<void> {
  if (to === from) return;
  const [tool, ...force] = to > from ? ['lvextend'] : ['lvreduce', '--force'];
  await lvm([tool ?? '', ...force, '--yes', '--quiet', '--size', bytesOf(to), `${group}/${name}`]);
}

/** Makes the device of a volume appear. */
export const activate = async (group: string, name: string): Promise<void> =>
  void (await lvm(['lvchange', '--activate', 'y', '--ignoreactivationskip', `${group}/${name}`]));

export const renameVolume = async (group: string, from: string, to: string): Promise<void> =>
  void (await lvm(['lvrename', '--quiet', group, from, to]));

/** Removes a volume. */
export const removeVolume = async (group: string, name: string): Promise<void> =>
  void (await lvm(['lvremove', '--yes', '--quiet', `${group}/${name}`]));
