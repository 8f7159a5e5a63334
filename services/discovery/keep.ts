/** What was told of one topic, and since when it is not wanted any more (ms of a monotonic clock). */
export interface Told {
  /** '' when another life of this process told it: it is said again. */
  text: string;
  unwantedSince?: number | undefined;
}
export interface Steps {
  /** Topics to publish. */
  say: string[];
  /** Topics to clear. */
  clear: string[];
  /** Milliseconds until something is to be cleared. */
  again?: number | undefined;
}

/**
 * What is to be said and cleared so that what was told is what is wanted. What is not wanted any more is cleared after `graceMs`
 * only: a vserver has no owner for moments of its move, and a broker that lost all of it hears it anew from the hosts. Changes `told`.
 */
export function keepStep(
  told: Map<string, Told>,
  wanted: Map<string, string>,
  now: number,
  graceMs: number,
): Steps {
  const steps: Steps = { say: [], clear: [] };
  for (const [topic, text] of wanted) {
    if (told.get(topic)?.text !== text) steps.say.push(topic);
    told.set(topic, { text });
  }
  for (const [topic, one] of told) {
    if (wanted.has(topic)) continue;
    one.unwantedSince ??= now;
    const left = one.unwantedSince + graceMs - now;
    if (left > 0) steps.again = Math.min(steps.again ?? left, left);
    else {
      told.delete(topic);
      steps.clear.push(topic);
    }
  }
  return steps;
}
