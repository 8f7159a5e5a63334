import { VsError } from '../shared/errors.ts';
import type { Client } from './client.ts';

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
