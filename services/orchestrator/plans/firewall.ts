import { VsError } from '../../../shared/errors.ts';
import type { Deciding } from './planned.ts';

/** An agent of before does not know the question; what is wrong is found later then, by a step that is undone. */
const isOld = (error: unknown): boolean =>
  error instanceof VsError && (error.code === 'usage' || error.code === 'not-found');

/**
 * Refuses when the rules of a vserver that comes to a host could not be in force there: a fault of a file, a set or group that
 * is not there, something that its kernel cannot do. `text`: its firewall.conf; without, what the host gives to new ones.
 */
export async function requireRules(
  { context }: Pick<Deciding, 'context'>,
  what: { name: string; host: string; text?: string | undefined },
): Promise<void> {
  const { name, host, text } = what;
  const asked = { name, newcomer: true as const, ...(text === undefined ? {} : { text }) };
  try {
    const { faults } = await context.bus.request(host, 'firewall.check', asked, { timeoutMs: 60_000 });
    if (faults.length === 0) return;
    const lead =
      text === undefined
        ? `the firewall.conf that ${host} gives to new vservers has faults`
        : `the firewall of ${name} could not be in force on ${host}`;
    throw new VsError('refused', `${lead}:\n${faults.join('\n')}`);
  } catch (error) {
    if (!isOld(error)) throw error;
  }
}

/** The firewall.conf of a vserver, as its host has it; undefined when its agent does not know the question. */
export async function rulesOf(
  { context }: Pick<Deciding, 'context'>,
  { name, host }: { name: string; host: string },
): Promise<string | undefined> {
  try {
    return (await context.bus.request(host, 'firewall.show', { name, text: true })).text ?? '';
  } catch (error) {
    if (isOld(error)) return undefined;
    throw error;
  }
}
