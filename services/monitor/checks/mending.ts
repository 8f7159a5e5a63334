import type { Daemon } from '../../../config/monitor/daemon.ts';
import type { RunningVserver } from '../../../shared/contract/vserver.ts';
import type { Reading } from './evaluate.ts';
import type { Subject, SubjectOptions } from './subject.ts';

/** What is done about daemons that are not well. The checks know no more of it. */
export interface DaemonMending {
  /** It is away for a moment, for it is just being restarted here. */
  isRestarting(name: string): boolean;
  /** After a look at a daemon: does what is to be done. In how many ms it has to be looked at again, if not as always. */
  after(
    subject: Subject,
    vserver: RunningVserver,
    daemon: Daemon,
    reading: Reading,
  ): Promise<number | undefined>;
  /** What its alerts say besides. */
  tell(name: string): NonNullable<SubjectOptions['more']>;
}
/** What is done while the memory of the host is short. */
export interface HostMending {
  /** By which check it is known. */
  check: string;
  /** After each look at the host. */
  after(subject: Subject): Promise<void>;
  tell: NonNullable<SubjectOptions['more']>;
}
