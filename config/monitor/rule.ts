import type { Daemon } from './daemon.ts';
import type { CrashPlan, Pause } from './mend.ts';

/** When a check fires and clears. A condition (a counter rose, a daemon is not well) has the value 1 while it holds. */
export interface Rule {
  /** The last level of its alert's topic. */
  check: string;
  /** As the file calls it. */
  key: string;
  line: number;
  severity: 'warning' | 'critical';
  threshold: number;
  /** Reached, it counts as well again. */
  clear: number;
  /** So many polls in a row before it fires, and before it clears. */
  hits: number;
  clearHits: number;
  /** Small values are bad: hours until a disk is full. */
  below: boolean;
}
export interface MonitorConfig {
  enabled: boolean;
  mailto: string[];
  pollSeconds: number;
  rules: Rule[];
  daemons: Daemon[];
  /** Seconds: how long after its start a vserver may open sockets; after how long a change is the new usual. */
  sockets?: { settle: number; keep: number; unix: boolean };
  /** Which certificates are looked at, as the vserver sees them. */
  certificates?: string[];
  /** What is done when it has ended by itself. */
  crash: CrashPlan;
  /** Nothing is mended then; of a host: nothing of all that is on it. */
  pause?: Pause;
  /** Of a host: while its memory is short, vservers are held back, or moved away as well, but not those with a boot order up to `spare`. */
  pressure?: { spare?: number; evacuates?: true };
}
