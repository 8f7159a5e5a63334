import type { ListeningSocket } from '../../../shared/contract/monitor.ts';

/** Ports that the kernel gives to who asks for none: whatever asks a server of names has one for a moment. */
const PASSING = 32_768;
const MOST_TOLD = 20;

/** What listens, each in a line that says who; sorted, each once. `unix`: those of files as well. */
export function namesOf(sockets: readonly ListeningSocket[], unix: boolean): string[] {
  const lines = sockets.flatMap(({ family, address, port, process }) => {
    if (family === 'unix' ? !unix : family.startsWith('udp') && (port ?? 0) >= PASSING) return [];
    const place = family === 'unix' ? address : `${address.includes(':') ? `[${address}]` : address}:${port}`;
    return [`${family} ${place}${process ? ` ${process}` : ''}`.replaceAll(/\p{Cc}/gu, '?').slice(0, 160)];
  });
  return [...new Set(lines)].toSorted();
}

/** `+` what listens now and did not, `-` what does not any more. */
export function diffOf(before: readonly string[], now: readonly string[]): string[] {
  const [was, is] = [new Set(before), new Set(now)];
  return [
    ...now.filter((one) => !was.has(one)).map((one) => `+ ${one}`),
    ...before.filter((one) => !is.has(one)).map((one) => `- ${one}`),
  ];
}
export const diffText = (diff: readonly string[]): string =>
  `${diff.slice(0, MOST_TOLD).join(', ')}${diff.length > MOST_TOLD ? `, and ${diff.length - MOST_TOLD} more` : ''}`;

/** What usually listens, and the change that is being looked at, since when (ms). */
export interface Usual {
  sockets: string[];
  change?: { since: number; diff: string[] } | undefined;
}

/** After one more look: a change that has stood for `keep` seconds is the new usual. */
export function nextUsual(
  usual: Usual | undefined,
  now: string[],
  ts: number,
  keep: number,
): { usual: Usual; diff: string[] } {
  if (!usual) return { usual: { sockets: now }, diff: [] };
  const diff = diffOf(usual.sockets, now);
  if (diff.length === 0) return { usual: { sockets: usual.sockets }, diff };
  const isSame = usual.change?.diff.join('\n') === diff.join('\n');
  const since = isSame ? (usual.change?.since ?? ts) : ts;
  if (ts - since >= keep * 1000) return { usual: { sockets: now }, diff: [] };
  return { usual: { sockets: usual.sockets, change: { since, diff } }, diff };
}
