// shared/contract/topics.ts, as the simulated processes see it: the same, but fast
export { topicsFor } from '../../../shared/contract/topics.ts';

const HASH = 35;
const PLUS = 43;
const SLASH = 47;

/** Does an MQTT filter (+ and #) match a topic? */
export function matches(filter: string, topic: string): boolean {
  let at = 0;
  for (let index = 0; index < filter.length; index++) {
    const code = filter.charCodeAt(index);
    if (code === HASH) return true;
    if (code === PLUS) while (at < topic.length && topic.charCodeAt(at) !== SLASH) at++;
    else if (topic.charCodeAt(at++) !== code) return false;
  }
  return at === topic.length;
}
