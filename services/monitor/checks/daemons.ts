import type { Daemon } from '../../../config/monitor/daemon.ts';
import type { Context } from '../../../shared/service.ts';
import { VsError } from '../../../shared/errors.ts';
import type { Reading } from './evaluate.ts';
import { type Process, countOf } from './processes.ts';
import type { Probe } from './probe.ts';

/** So much of what a check of a guest says is kept. */
const OUTPUT = 500;

type Ways = Pick<Context, 'bus' | 'host'> & { probe: Probe };
export interface Guest {
  name: string;
  pid: number;
  processes: () => readonly Process[];
}
/** What is wrong, in one sentence; undefined when nothing is, null when it could not be looked at. */
type Fault = string | undefined | null;

function processFault(daemon: Daemon, guest: Guest): Fault {
  const { process, min, max } = daemon;
  if (process === undefined) return undefined;
  const count = countOf(guest.processes(), process);
  if (count < min) return `${count} processes ${process}, expected at least ${min}`;
  return max !== undefined && count > max
    ? `${count} processes ${process}, expected at most ${max}`
    : undefined;
}
async function tcpFault({ tcp, timeoutMs }: Daemon, guest: Guest, { probe }: Ways): Promise<Fault> {
  if (!tcp) return undefined;
  const answer = await probe.look(guest.pid, tcp, timeoutMs);
  if (!answer.ok && answer.unknown) return null;
  return answer.ok ? undefined : `tcp ${tcp.address} port ${tcp.port}: ${answer.why}`;
}
async function httpFault({ http, expect, timeoutMs }: Daemon, guest: Guest, { probe }: Ways): Promise<Fault> {
  if (!http) return undefined;
  const answer = await probe.look(guest.pid, http, timeoutMs, http);
  const lead = `http://${http.host}${http.path}`.slice(0, 200);
  if (!answer.ok && answer.unknown) return null;
  if (!answer.ok) return `${lead}: ${answer.why}`;
  const { status = 0 } = answer;
  const isRight = expect.length > 0 ? expect.includes(status) : status >= 200 && status < 400;
  return isRight ? undefined : `${lead}: status ${status}, expected ${expect.join(' or ') || '200 to 399'}`;
}
async function execFault({ exec, timeoutMs }: Daemon, { name }: Guest, { bus, host }: Ways): Promise<Fault> {
  if (!exec) return undefined;
  let output = '';
  const hear = ({ data }: Record<string, unknown>) => {
    if (output.length < OUTPUT && typeof data === 'string')
      output += Buffer.from(data.slice(0, 4 * OUTPUT), 'base64').toString('utf8');
  };
  try {
    const { code } = await bus.request(
      host,
      'host-agent.exec',
      { name, command: exec, timeout: timeoutMs },
      { timeoutMs: timeoutMs + 2000, onProgress: hear },
    );
    const said = output
      .replaceAll(/\p{Cc}+/gu, ' ')
      .trim()
      .slice(0, OUTPUT);
    return code === 0 ? undefined : `${exec[0]} ended with exit code ${code}${said ? `: ${said}` : ''}`;
  } catch (error) {
    if (error instanceof VsError && error.code === 'deadline')
      return `${exec[0]} did not end within ${timeoutMs / 1000} s`;
    return `${exec[0]}: ${error instanceof Error ? error.message.slice(0, OUTPUT) : 'failed'}`;
  }
}

/**
 * Looks at a daemon in all the ways that its line says, side by side. Never throws; ends within its timeout and a little.
 * Undefined: nothing is wrong, as far as it could be looked at.
 */
export async function lookAtDaemon(daemon: Daemon, guest: Guest, ways: Ways): Promise<Reading | undefined> {
  const others = await Promise.all([
    tcpFault(daemon, guest, ways),
    httpFault(daemon, guest, ways),
    execFault(daemon, guest, ways),
  ]);
  const all = [processFault(daemon, guest), ...others];
  const found = all.filter((one) => typeof one === 'string');
  if (found.length === 0 && all.includes(null)) return undefined;
  return { value: found.length > 0 ? 1 : 0, text: `${daemon.name}: ${found.join('; ') || 'well'}` };
}
