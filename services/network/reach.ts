import { run } from '../../shared/run.ts';

/** Does a machine answer at this address within 2 s? Three questions, for one packet may be lost (ping(8): 1 is no answer, 2 no way there). */
export async function reaches(address: string): Promise<boolean> {
  const argv = ['ping', '-n', '-q', '-c', '3', '-i', '0.3', '-w', '2', address];
  const { stdout } = await run(argv, { okCodes: [0, 1, 2] });
  return !/\b0 received/.test(stdout) && /received/.test(stdout);
}
