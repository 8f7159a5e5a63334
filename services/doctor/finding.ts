import type { Finding } from '../../shared/contract/doctor.ts';

/** Makers of the findings of one check. */
export function about(check: string) {
  const made = (
    result: Finding['result'],
    message: string,
    more: Pick<Finding, 'subject' | 'todo'>,
  ): Finding => ({
    check,
    result,
    message,
    ...more,
  });
  const named = (subject: string | undefined) => (subject === undefined ? {} : { subject });
  return {
    ok: (message: string, subject?: string) => made('ok', message, named(subject)),
    warn: (message: string, todo: string, subject?: string) =>
      made('warn', message, { ...named(subject), todo }),
    fail: (message: string, todo: string, subject?: string) =>
      made('fail', message, { ...named(subject), todo }),
  };
}

/** A check that could not be made is a finding as well. */
export async function tried(check: string, look: () => Promise<Finding[]>): Promise<Finding[]> {
  try {
    return await look();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return [about(check).fail(why, 'mend that, and look again')];
  }
}
