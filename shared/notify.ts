import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('notify.pl', import.meta.url));

export interface Notify {
  /** It does its work now. `status`: what systemctl status shows. */
  ready(status: string): void;
  stopping(): void;
}

/** The time (ms) from one sign of life to the next, of what WATCHDOG_USEC says: three in each span; undefined: nobody waits. */
export function watchdogMs(environment: NodeJS.ProcessEnv, pid: number): number | undefined {
  const { WATCHDOG_USEC: micros = '', WATCHDOG_PID: whose } = environment;
  if (whose !== undefined && Number(whose) !== pid) return undefined;
  return /^[1-9]\d{0,15}$/.test(micros) ? Math.max(100, Math.floor(Number(micros) / 3000)) : undefined;
}

/**
 * Tells the manager that started this process (sd_notify(3)) when it is ready, and that its event loop still turns. Takes what
 * leads there out of the environment: no child, and no guest's init, shall speak for this process. Without a manager it does nothing.
 */
export function openNotify(environment: NodeJS.ProcessEnv = process.env): Notify {
  const { NOTIFY_SOCKET: socket } = environment;
  const every = watchdogMs(environment, process.pid);
  for (const key of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) delete environment[key];
  if (!socket) return { ready: () => undefined, stopping: () => undefined };
  const child = spawn('perl', [program], {
    stdio: ['pipe', 'ignore', 'inherit'],
    env: { PATH: environment['PATH'], LC_ALL: 'C', NOTIFY_SOCKET: socket },
  });
  child.once('error', (error) => {
    process.stderr.write(`vs: the service manager cannot be told anything: ${error.message}\n`);
  });
  child.stdin.on('error', () => undefined);
  child.unref();
  (child.stdin as unknown as { unref?(): void }).unref?.();
  const say = (...lines: string[]) => child.stdin.write(`${lines.join('\t')}\n`);
  let beat: NodeJS.Timeout | undefined;
  return {
    ready(status) {
      say('READY=1', `STATUS=${status.replaceAll(/\s+/g, ' ')}`, 'WATCHDOG=1');
      if (every !== undefined && !beat) beat = setInterval(() => say('WATCHDOG=1'), every).unref();
    },
    stopping: () => void say('STOPPING=1'),
  };
}
