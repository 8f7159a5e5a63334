// shared/contract/topics.ts, as the simulated processes see it: what fits is looked for once
import { matches as really } from '../../../shared/contract/topics.ts';

export { topicsFor } from '../../../shared/contract/topics.ts';

const MOST = 5000;
const known = new Map<string, Map<string, boolean>>();

export function matches(filter: string, topic: string): boolean {
  let those = known.get(filter);
  if (!those) known.set(filter, (those = new Map()));
  let fits = those.get(topic);
  if (fits === undefined) {
    if (those.size > MOST) those.clear();
    those.set(topic, (fits = really(filter, topic)));
  }
  return fits;
}
