import type { UpdateStage } from '../../../shared/contract/update.ts';
import { debianVersion } from '../../../shared/versions.ts';
import type { UpdateNote } from './note.ts';

/** What this host knows of an update. */
export interface UpdateFacts {
  /** A unit that installs is at work. */
  atWork: boolean;
  /** What dpkg says of vs-tools; undefined: that it knows none. */
  dpkg: { version: string; status: string } | undefined;
  /** The version that this agent is of. */
  running: string;
  /** What dpkg said last, in one line. */
  said: string;
}

/** How an update stands: what dpkg says counts, not how its unit ended, of which nobody knows any more after a power cut. */
export function judge(
  note: Pick<UpdateNote, 'from' | 'to' | 'settled'> | undefined,
  { atWork, dpkg, running, said }: UpdateFacts,
): { stage: UpdateStage; message?: string } {
  if (!note || note.settled) return { stage: 'none' };
  if (atWork) return { stage: 'at work' };
  const words = said === '' ? '' : `: ${said}`;
  if (!dpkg) return { stage: 'failed', message: `dpkg knows no vs-tools here any more${words}` };
  if (dpkg.status !== 'installed')
    return { stage: 'failed', message: `dpkg left vs-tools ${dpkg.version} ${dpkg.status}${words}` };
  if (dpkg.version === debianVersion(note.to))
    return running === note.to
      ? { stage: 'installed' }
      : {
          stage: 'failed',
          message: `vs-tools ${note.to} is installed, but an agent of ${running} still runs${words}`,
        };
  if (dpkg.version !== debianVersion(note.from))
    return { stage: 'failed', message: `vs-tools ${dpkg.version} was installed meanwhile by somebody else` };
  return running === note.from
    ? { stage: 'back', message: `vs-tools ${note.from} is there${words}` }
    : {
        stage: 'failed',
        message: `vs-tools ${note.from} is there again, but an agent of ${running} still runs`,
      };
}
