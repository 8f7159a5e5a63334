import { VsError } from '../shared/errors.ts';
import { type Client, withClient } from './client.ts';
import { checkHost, checkName } from './names.ts';

/** The host to send a command about a vserver to: --host, or where the master says it lives. */
export async function hostOf(client: Client, name: string, given?: string): Promise<string> {
  if (given) return given;
  try {
    return (await client.request('master', 'orchestrator.locate', { name }, { timeoutMs: 10_000 })).host;
  } catch (error) {
    if (!(error instanceof VsError) || !/master (does not|did not|is offline)/.test(error.message))
      throw error;
    throw new VsError('unavailable', `${error.message} Name the host to go without it: --host HOST`, {
      cause: error,
    });
  }
}

/** Does something with the host of a vserver: --host, or where it lives. */
export function onHost<T>(
  name: string,
  options: { host?: string },
  work: (client: Client, host: string) => Promise<T>,
): Promise<T> {
  checkName(name);
  if (options.host !== undefined) checkHost(options.host);
  return withClient(async (client) => work(client, await hostOf(client, name, options.host)));
}
