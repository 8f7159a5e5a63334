/** A line as people may see it: no control characters, at most 200 of all others. */
export const shown = (line: string): string =>
  line
    .replace(/\p{Cc}+/gu, ' ')
    .trim()
    .slice(0, 200);

/** Output in pieces becomes lines; a last one without an end comes with `end`. */
export function lineSplitter(take: (line: string) => void) {
  const decoder = new TextDecoder();
  let rest = '';
  return {
    add(chunk: Uint8Array): void {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split(/\r?\n|\r/);
      rest = (lines.pop() ?? '').slice(-4096);
      for (const line of lines) take(line);
    },
    end(): void {
      if (rest) take(rest);
      rest = '';
    },
  };
}
