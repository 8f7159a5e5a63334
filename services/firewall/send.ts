import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { VsError } from '../../shared/errors.ts';
import { RunError, run } from '../../shared/run.ts';
import { familyOf } from './addresses.ts';
import { compile } from './compile.ts';
import type { Decision, Packet } from './evaluate.ts';
import { packetBytes } from './packet-bytes.ts';
import type { Firewall } from './rule.ts';

const program = fileURLToPath(new URL('./send.pl', import.meta.url));
const [inside, outside] = ['020000000001', '020000000002'];
/** Of send.pl. */
const MARK = 30_323;

/** Rules as they are, but that only the packet that is sent meets them, and nothing is logged. */
function rulesFor(firewall: Firewall, resolved: ReadonlyMap<string, string[]>): string {
  const { log: _, ...rest } = firewall;
  const rules = firewall.rules.map(({ log: __, ...rule }) => rule);
  return compile({ ...rest, rules }, resolved)
    .replace('hook input priority 0; policy drop;', '$&\n    iifname != "eth0" accept')
    .replace('hook output priority 0; policy drop;', `$&\n    meta mark != ${MARK} accept`);
}
const listing = z.object({ nftables: z.array(z.record(z.string(), z.unknown())) });
const counted = z.object({
  comment: z.string(),
  expr: z.array(z.looseObject({ counter: z.object({ packets: z.number() }).optional() })),
});

/** What this kernel does with a packet that is really sent through the rules of a firewall, and which rule decided. */
export async function send(
  firewall: Firewall,
  resolved: ReadonlyMap<string, string[]>,
  packet: Packet,
): Promise<Decision> {
  const own = packet.direction === 'in' ? packet.destination : packet.source;
  const family = familyOf(own) ?? 4;
  const bytes = packetBytes(packet).toString('hex');
  const way =
    packet.direction === 'in'
      ? ['link', 'wire', `${inside}${outside}${family === 4 ? '0800' : '86dd'}${bytes}`]
      : [family === 4 ? 'four' : 'six', packet.destination, bytes];
  const argv = ['unshare', '-n', 'perl', program, String(family), own, ...way];
  const { stdout } = await run(argv, { input: rulesFor(firewall, resolved), timeoutMs: 30_000 }).catch(
    (error: unknown) => {
      const why = error instanceof RunError ? error.stderr.trim().slice(-200) : '';
      throw new VsError('failed', `the packet could not be sent on this host: ${why || String(error)}`, {
        cause: error,
      });
    },
  );
  const met = listing.parse(JSON.parse(stdout)).nftables.flatMap((one) => {
    const rule = counted.safeParse(one['rule']);
    return rule.success && rule.data.expr.some(({ counter }) => (counter?.packets ?? 0) > 0)
      ? [rule.data.comment]
      : [];
  });
  const [comment] = met;
  if (comment === undefined)
    return { verdict: 'drop', why: 'it was sent, and the kernel dropped it before any rule' };
  const rule = firewall.rules.find(({ id }) => id === comment);
  if (rule)
    return {
      verdict: rule.verdict,
      rule,
      why: `it was sent, and ${rule.at.file}:${rule.at.line} ${rule.verdict === 'accept' ? 'let it pass' : 'denied it'}`,
    };
  return comment === 'default'
    ? { verdict: 'drop', why: 'it was sent, and no rule matched' }
    : {
        verdict: 'accept',
        why: `it was sent, and passed as ${comment === 'implied' ? 'ping and the search for neighbours do' : 'what belongs to open connections does'}`,
      };
}
