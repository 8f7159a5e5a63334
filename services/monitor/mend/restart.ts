import type { Restart } from '../../../config/monitor/mend.ts';
import { VsError } from '../../../shared/errors.ts';
import type { Context } from '../../../shared/service.ts';

type Ways = Pick<Context, 'bus' | 'host'>;
/** So long (ms) a daemon may take to come up; what was begun is ended then. */
const DEADLINE_MS = 60_000;
const LOOK_MS = 10_000;
const OUTPUT = 2000;

/** The commands that restart it, in order; the last one has to succeed. */
export function commandsOf(how: Restart): string[][] {
  if (how.by === 'exec') return [how.command];
  if (how.by === 'service') return [['service', how.unit, 'restart']];
  // a unit that failed too often in a row is refused until that is forgotten
  return [
    ['systemctl', 'reset-failed', '--', how.unit],
    ['systemctl', 'restart', '--', how.unit],
  ];
}

/** What systemd says of a unit that a person has stopped or disabled; undefined: it may be restarted. */
export function leftBy(shown: string): string | undefined {
  const of = (key: string) => new RegExp(`^${key}=(.*)$`, 'm').exec(shown)?.[1];
  const file = of('UnitFileState') ?? '';
  if (/^(disabled|masked)/.test(file)) return `not restarted, for it is ${file} in systemd`;
  if (of('ActiveState') === 'inactive' && of('Result') === 'success')
    return 'not restarted, for somebody stopped it (systemctl)';
  return undefined;
}

/** Has a person inside stopped it? Only systemd knows. */
export async function isLeft({ bus, host }: Ways, name: string, how: Restart): Promise<string | undefined> {
  if (how.by !== 'systemctl') return undefined;
  let shown = '';
  const command = ['systemctl', 'show', '--property=ActiveState,Result,UnitFileState', '--', how.unit];
  const onProgress = ({ stream, data }: Record<string, unknown>) => {
    if (stream === 'stdout' && typeof data === 'string' && shown.length < OUTPUT)
      shown += Buffer.from(data, 'base64').toString('utf8');
  };
  const options = { timeoutMs: LOOK_MS + 2000, onProgress };
  await bus.request(host, 'host-agent.exec', { name, command, timeout: LOOK_MS }, options);
  return leftBy(shown);
}

/** Restarts it inside of its vserver. Why it failed; undefined when it did not. */
export async function restartDaemon(
  { bus, host }: Ways,
  name: string,
  how: Restart,
): Promise<string | undefined> {
  let code = 0;
  try {
    for (const command of commandsOf(how))
      ({ code } = await bus.request(
        host,
        'host-agent.exec',
        { name, command, quiet: true, timeout: DEADLINE_MS },
        { timeoutMs: DEADLINE_MS + 5000 },
      ));
  } catch (error) {
    if (error instanceof VsError && error.code === 'deadline') return `no end within ${DEADLINE_MS / 1000} s`;
    return (error instanceof Error ? error.message : String(error)).slice(0, 200);
  }
  return code === 0 ? undefined : `exit code ${code}`;
}
