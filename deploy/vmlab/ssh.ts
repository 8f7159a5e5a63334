import { type RunResult, run } from '../../shared/run.ts';
import { quote } from './quote.ts';

/** The way into one VM: one connection that all commands share. */
export interface Way {
  name: string;
  directory: string;
  port: number;
}

function options({ name, directory, port }: Way): string[] {
  const settings = {
    UserKnownHostsFile: `${directory}/known_hosts`,
    HostKeyAlias: 'vslab-vm',
    BatchMode: 'yes',
    ConnectTimeout: '120',
    LogLevel: 'ERROR',
    ControlMaster: 'auto',
    ControlPath: `${directory}/${name}.ssh`,
    ControlPersist: '600',
    ServerAliveInterval: '15',
    ServerAliveCountMax: '8',
  };
  const given = Object.entries(settings).flatMap(([key, value]) => ['-o', `${key}=${value}`]);
  return ['-F', '/dev/null', '-i', `${directory}/key`, '-p', String(port), '-l', 'root', ...given];
}

/** Runs a script of sh in a VM; any exit code but 255, which is ssh's own, is the caller's. */
export async function shell(
  way: Way,
  script: string,
  more: { timeoutMs?: number; ok?: number[]; input?: string } = {},
): Promise<RunResult> {
  return run(['ssh', ...options(way), '127.0.0.1', `sh -c ${quote(script)}`], {
    timeoutMs: more.timeoutMs ?? 120_000,
    okCodes: more.ok ?? [0],
    ...(more.input === undefined ? {} : { input: more.input }),
  });
}

/** Closes the shared connection, if there is one. */
export const hangUp = async (way: Way): Promise<void> =>
  void (await run(['ssh', ...options(way), '-O', 'exit', '127.0.0.1'], { okCodes: [0, 255] }));
