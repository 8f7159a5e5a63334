import { MAX_PAYLOAD } from '../bus/wire.ts';

// What the agent's own socket and the command line must agree on: one JSON object a line, both ways. The command line
// loads this at every start, so it imports no zod.

/** Where the agent of a host listens for root: in a directory of its own, which no vserver's name can be. */
export const agentSocket = (runDirectory: string): string => `${runDirectory}/.agent/socket`;

/** The first line that the agent says. */
export interface Hello {
  host: string;
  version: string;
  /** Is it connected to the broker? */
  broker: boolean;
}

/** Parts a stream into lines; `tooLong` is called once, at a line of more than MAX_PAYLOAD bytes, and nothing after it is read. */
export function lineReader(onLine: (line: string) => void, tooLong: () => void): (chunk: Buffer) => void {
  let parts: Buffer[] = [];
  let length = 0;
  let over = false;
  return (chunk) => {
    let rest = chunk;
    while (!over) {
      const end = rest.indexOf(10);
      const part = end < 0 ? rest : rest.subarray(0, end);
      length += part.length;
      if (length > MAX_PAYLOAD) {
        over = true;
        parts = [];
        return tooLong();
      }
      parts.push(part);
      if (end < 0) return undefined;
      const line = Buffer.concat(parts).toString();
      parts = [];
      length = 0;
      rest = rest.subarray(end + 1);
      if (line.trim() !== '') onLine(line);
    }
    return undefined;
  };
}
