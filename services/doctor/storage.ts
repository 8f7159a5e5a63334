import { chmod, stat, statfs } from 'node:fs/promises';
import type { Settings } from '../../config/settings.ts';
import type { Finding } from '../../shared/contract/doctor.ts';
import { run } from '../../shared/run.ts';
import { about } from './finding.ts';

const percent = (part: number, all: number) => (all > 0 ? Math.round((100 * part) / all) : 100);

/** Is enough of a file system free? Bytes and inodes, of what an ordinary user may take. */
export function judgeSpace(
  path: string,
  { free, size, inodesFree, inodes }: { free: number; size: number; inodesFree: number; inodes: number },
): Finding {
  const { ok, warn, fail } = about('storage');
  const room = percent(free, size);
  const files = percent(inodesFree, inodes); // btrfs has none: 0 of 0
  const text = `${path}: ${room} % free${inodes > 0 ? `, ${files} % of its inodes` : ''}`;
  const todo = 'vs trash list shows what can go; vs evacuate moves vservers away';
  if (Math.min(room, files) < 3) return fail(text, todo, path);
  return Math.min(room, files) < 10 ? warn(text, todo, path) : ok(text, path);
}

/** Errors that btrfs counted on its devices (`btrfs device stats`). */
export function judgeDevices(text: string): Finding[] {
  const { ok, fail } = about('storage');
  const bad = [...text.matchAll(/^\[(.+)\]\.(\S+)\s+(\d+)$/gm)].filter(([, , , count]) => count !== '0');
  if (bad.length === 0) return [ok('btrfs counted no errors on its devices', 'devices')];
  return bad.map(([, device = '', kind = '', count = '']) =>
    fail(
      `btrfs counted ${count} ${kind} on ${device}`,
      'look into the kernel log, run "btrfs scrub start", and move vservers away: vs evacuate',
      device,
    ),
  );
}

/** The room of the file system on which a directory lies. */
export async function spaceOf(path: string): Promise<Finding> {
  const { bavail, blocks, bsize, ffree, files } = await statfs(path);
  return judgeSpace(path, { free: bavail * bsize, size: blocks * bsize, inodesFree: ffree, inodes: files });
}

/** Where vservers and states lie: room, errors, and who may look into it. */
export async function lookAtStorage(
  settings: Pick<Settings, 'VSERVER_DIR' | 'STATE_DIR'>,
  storage: string,
  fix: boolean,
  faults: string[] = [],
): Promise<Finding[]> {
  const { ok, fail, warn } = about('storage');
  const findings: Finding[] = faults.map((fault) => warn(fault, 'docs/storage.md', storage));
  for (const path of [settings.VSERVER_DIR, settings.STATE_DIR]) findings.push(await spaceOf(path));
  const { mode, uid, gid } = await stat(settings.VSERVER_DIR);
  // LXC lets the group of root through (0710)
  const closed = uid === 0 && (mode & 0o007) === 0 && ((mode & 0o070) === 0 || gid === 0);
  if (closed) findings.push(ok(`${settings.VSERVER_DIR} is closed to others`, 'mode'));
  else {
    // ids on disk are those of the guests, so a user of the host with the same id would read their files
    const found = fail(
      `${settings.VSERVER_DIR} can be entered by others than root (mode ${(mode & 0o777).toString(8)})`,
      `chmod 0700 ${settings.VSERVER_DIR}`,
      'mode',
    );
    if (fix && uid === 0) {
      await chmod(settings.VSERVER_DIR, 0o700);
      found.fixed = 'it is 0700 now';
    }
    findings.push(found);
  }
  if (storage === 'btrfs') {
    const { stdout } = await run(['btrfs', 'device', 'stats', settings.VSERVER_DIR], { okCodes: [0, 1] });
    findings.push(...judgeDevices(stdout));
  }
  return findings;
}
