import type { Finding } from '../../shared/contract/doctor.ts';

/** Makers of the findings of one check. */
export const about = (check: string) => ({
  ok: (message: string, subject?: string): Finding => ({ check, ...named(subject), result: 'ok', message }),
  warn: (message: string, todo: string, subject?: string): Finding => ({
    check,
    ...named(subject),
    result: 'warn',
    message,
    todo,
  }),
  fail: (message: string, todo: string, subject?: string): Finding => ({
    check,
    ...named(subject),
    result: 'fail',
    message,
    todo,
  }),
});
const named = (subject: string | undefined) => (subject === undefined ? {} : { subject });

/** A check that could not be made is a finding as well. */
export async function tried(check: string, look: () => Promise<Finding[]>): Promise<Finding[]> {
  try {
    return await look();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return [about(check).fail(why, 'mend that, and look again')];
  }
}
