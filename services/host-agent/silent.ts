import { VsError } from '../../shared/errors.ts';
import { questionsOf } from '../../shared/interfaces.ts';
import type { Context } from '../../shared/service.ts';

/** None of these addresses answers on its network; `otherwise` begins the sentence. Throws 'refused'. */
export async function requireSilent(
  bus: Context['bus'],
  host: string,
  places: Parameters<typeof questionsOf>[0],
  otherwise: string,
): Promise<void> {
  for (const question of questionsOf(places)) {
    const { answers, taken6, answers6 } = await bus.request(host, 'network.check', question);
    const { address, address6 } = question;
    if (answers) throw new VsError('refused', `${otherwise}: ${address} answers already, from ${answers}`);
    if (taken6)
      throw new VsError(
        'refused',
        `${otherwise}: ${address6} answers already${answers6 ? `, from ${answers6}` : ''}`,
      );
  }
}
