import { readFile } from 'node:fs/promises';
import { RunError, run } from '../../shared/run.ts';
import type { RunState } from '../../shared/contract/vserver.ts';

const INSIDE = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** The only driver of the lxc-* tools. Everything below one directory (`-P`). */
export function lxcDriver(directory: string) {
  const at = (tool: string, name: string, ...args: string[]) => [tool, '-P', directory, '-n', name, ...args];
  return {
    async version(): Promise<string> {
      return (await run(['lxc-start', '--version'])).stdout.trim();
    },
    /** Names whose monitor lives, also of what people started by hand: their command sockets (abstract, in this network namespace). */
    async alive(): Promise<Set<string>> {
      const text = await readFile('/proc/net/unix', 'utf8');
      const names = new Set<string>();
      for (const line of text.split('\n')) {
        const path = line.slice(line.lastIndexOf(' ') + 1);
        if (path.startsWith(`@${directory}/`) && path.endsWith('/command'))
          names.add(path.slice(directory.length + 2, -'/command'.length));
      }
      return names;
    },
    /** State and init pid by the runtime itself. */
    async info(name: string): Promise<{ state: RunState; pid: number | undefined }> {
      const { stdout, code } = await run(at('lxc-info', name, '-s', '-p'), {
        okCodes: [0, 1],
        timeoutMs: 10_000,
      });
      const word = /State:\s+(\w+)/.exec(stdout)?.[1] ?? 'STOPPED';
      const pid = /PID:\s+(\d+)/.exec(stdout)?.[1];
      const states: Record<string, RunState> = {
        RUNNING: 'running',
        STARTING: 'starting',
        STOPPING: 'stopping',
        ABORTING: 'stopping',
        FROZEN: 'frozen',
        FREEZING: 'frozen',
        THAWED: 'running',
      };
      return {
        state: code === 0 ? (states[word] ?? 'stopped') : 'stopped',
        pid: pid ? Number(pid) : undefined,
      };
    },
    /** Starts it; the reason of a failure is what its own log says, and later on how it ended (ended.ts). */
    async start(name: string, log: string): Promise<void> {
      try {
        await run(at('lxc-start', name, '-d', '-o', log, '-l', 'INFO'), { timeoutMs: 60_000 });
      } catch (error) {
        if (!(error instanceof RunError)) throw error;
        const lines = (await readFile(log, 'utf8').catch(() => '')).trim().split('\n');
        const said = lines
          .filter((line) => /ERROR|vs-tools:/.test(line))
          .slice(-40)
          .map((line) =>
            line.replace(/^lxc-start \S+ \d+\.\d+ ERROR\s+/, '').replace(/^\S+ - \S+?:\d+ - /, ''),
          );
        throw new RunError(
          error.argv,
          error.exitCode,
          error.stderr,
          `${name} did not start: ${said.slice(0, 3).join('; ').slice(0, 400) || error.message}`,
          error,
        );
      }
    },
    /** Asks init to halt; within seconds, else by SIGKILL. Exit code 2: it was stopped already. */
    async stop(name: string, seconds: number): Promise<void> {
      const how = seconds > 0 ? ['-t', String(seconds)] : ['-k'];
      await run(at('lxc-stop', name, ...how), { okCodes: [0, 2], timeoutMs: (seconds + 30) * 1000 });
    },
    /** The command line that runs a command inside, with the vserver's capabilities and in its cgroup. */
    attach: (
      name: string,
      command: string[],
      as: { environment?: Record<string, string>; uid?: number; gid?: number } = {},
    ) =>
      at(
        'lxc-attach',
        name,
        '--clear-env',
        ...Object.entries({ PATH: INSIDE, HOME: '/root', TERM: 'dumb', ...as.environment }).flatMap(
          ([key, value]) => ['-v', `${key}=${value}`],
        ),
        ...(as.uid === undefined ? [] : ['-u', String(as.uid), '-g', String(as.gid ?? as.uid)]),
        '--',
        ...command,
      ),
  };
}
export type Lxc = ReturnType<typeof lxcDriver>;
