/** No message of the contract is nested deeper than 10 levels; what comes from outside may be so deep, and no deeper. */
const MAX_DEPTH = 32;

/** Is JSON text nested deeper than MAX_DEPTH? Looks at the characters only, so a wrong text is no matter. */
function isDeep(text: string): boolean {
  let depth = 0;
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (quoted) {
      if (code === 92) at++; // a backslash: the next is no end
      else if (code === 34) quoted = false;
    } else if (code === 34) quoted = true;
    else if (code === 91 || code === 123) {
      if (++depth > MAX_DEPTH) return true;
    } else if (code === 93 || code === 125) depth--;
  }
  return false;
}

/** JSON from outside, bounded in depth: what walks through it later may recurse. Throws SyntaxError. */
export function parseJson(text: string): unknown {
  if (isDeep(text)) throw new SyntaxError(`it is nested deeper than ${MAX_DEPTH} levels`);
  return JSON.parse(text);
}
