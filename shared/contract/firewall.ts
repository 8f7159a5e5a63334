import { z } from 'zod';
import { type CommandSpec, hostCommand } from './command.ts';
import { empty, ipv4, ipv6, name, staged } from './names.ts';

/** The text of a firewall.conf: 5000 lines and more fit, one message of the bus does too. */
const text = z.string().max(400_000, 'a firewall.conf has at most 400 000 characters');
/** SHA-256 of a firewall.conf; of one that does not exist: of nothing. */
const hash = z.string().regex(/^[0-9a-f]{64}$/, 'the hash that firewall.show answered');
const address = z.union([ipv4, ipv6]);
const port = z.int().min(0).max(65_535);
const counted = z.object({ packets: z.int(), bytes: z.int() });

/** One packet, as the vserver sees it: `in` comes to it, `out` leaves it. A new one of a connection, unless `state` says otherwise. */
export const firewallPacket = z.strictObject({
  direction: z.enum(['in', 'out']),
  protocol: z.union([z.enum(['tcp', 'udp', 'icmp', 'icmpv6']), z.int().min(0).max(255)]),
  source: address,
  destination: address,
  sourcePort: port.optional(),
  destinationPort: port.optional(),
  icmpType: z.int().min(0).max(255).optional(),
  state: z.enum(['new', 'established', 'related']).optional(),
});
export type FirewallPacket = z.infer<typeof firewallPacket>;

/** A rule as it stands in its file, and what it has matched since the rules were loaded. */
export const firewallRule = z.object({
  id: z.string(),
  file: z.string(),
  line: z.int(),
  text: z.string(),
  packets: z.int().optional(),
  bytes: z.int().optional(),
});
export type FirewallRule = z.infer<typeof firewallRule>;

/** A name that stands in rules: the addresses that the rules have of it. Stale: it did not resolve at the last try. */
export const firewallName = z.object({
  name: z.string(),
  addresses: z.array(z.string()),
  stale: z.boolean(),
});
export type FirewallName = z.infer<typeof firewallName>;

export const firewallView = z.object({
  name,
  /** What its file says; false also when there is none. */
  enabled: z.boolean(),
  running: z.boolean(),
  /** Rules are in force in the vserver that runs. */
  loaded: z.boolean(),
  /** Its file, a set or a group has changed since the rules were loaded: firewall.reload applies it. */
  changed: z.boolean(),
  hash,
  /** The file, when it was asked for; then there are no rules. */
  text: z.string().optional(),
  rules: z.array(firewallRule),
  /** So many rules more than are shown. */
  more: z.int(),
  /** What none of the rules matched, so that it was dropped. */
  denied: counted.optional(),
  names: z.array(firewallName),
  /** Each with file, line and column; then nothing of the file is in force but what was loaded before. */
  faults: z.array(z.string()),
});
export type FirewallView = z.infer<typeof firewallView>;

/** What became of a change: whether it is in force in the vserver now, or waits for its start. */
const applied = z.object({ name, enabled: z.boolean(), running: z.boolean(), loaded: z.boolean(), hash });
export type FirewallApplied = z.infer<typeof applied>;
const named = z.strictObject({ name });

export const firewallCommands = {
  'firewall.render': hostCommand(
    'the nftables rules of a vserver from its firewall.conf; empty when it is not enabled. A fault refuses, with file and line',
    z.strictObject({ name, staged: staged.optional() }),
    z.object({ rules: z.string() }),
  ),
  'firewall.show': hostCommand(
    'the rules of a vserver with what each has matched, whether they are in force, the names in them; with text: the file itself in place of the rules',
    z.strictObject({ name, text: z.literal(true).optional() }),
    firewallView,
  ),
  'firewall.check': hostCommand(
    'look for faults in the firewall.conf of a vserver, or in a text that might become it, also for what the kernel cannot do; newcomer: one that is not here yet, without text the file that a new one gets; changes nothing',
    z.strictObject({ name, text: text.optional(), newcomer: z.literal(true).optional() }),
    z.object({ file: z.string(), faults: z.array(z.string()) }),
  ),
  'firewall.save': hostCommand(
    'a new firewall.conf for a vserver, in force at once when it runs. hash: of the file that it replaces; refused with conflict when that has changed, with usage when the new one has a fault',
    z.strictObject({ name, text, hash }),
    applied,
  ),
  'firewall.up': hostCommand('switch the firewall of a vserver on, now and for good', named, applied),
  'firewall.down': hostCommand(
    'switch the firewall of a vserver off, now and for good: everything passes',
    named,
    applied,
  ),
  'firewall.reload': hostCommand(
    'read the files anew, resolve the names, and load the rules in one transaction; a fault changes nothing',
    named,
    applied,
  ),
  'firewall.test': hostCommand(
    'what the firewall of a vserver does with a packet, by its files and the addresses known of its names, and which rule decides; send: by really sending it through these rules, in a network namespace of its own, so that nothing of it reaches anybody',
    z.strictObject({ name, packet: firewallPacket, send: z.literal(true).optional() }),
    z.object({
      verdict: z.enum(['accept', 'drop']),
      rule: firewallRule.optional(),
      why: z.string(),
      enabled: z.boolean(),
      /** It was really sent; not when no firewall is enabled. */
      sent: z.boolean().optional(),
      /** What the evaluation says, when that is something else. */
      evaluated: z.enum(['accept', 'drop']).optional(),
    }),
  ),
  'firewall.log': hostCommand(
    "the last lines of the kernel's log about packets of a vserver that were denied (log in its firewall.conf); missing: why there can be none",
    z.strictObject({ name, lines: z.int().min(1).max(1000) }),
    z.object({ lines: z.array(z.string()), missing: z.string().optional() }),
  ),
  'firewall.counters': hostCommand(
    'what the firewalls of the vservers that run have let pass and denied, as last counted, some 30 s ago at most',
    empty,
    z.object({
      vservers: z.array(
        z.object({
          name,
          accepted: counted,
          denied: counted,
          /** Of the first 40 rules, by their comment or line. */
          rules: z.array(z.object({ title: z.string(), packets: z.int(), bytes: z.int() })).optional(),
        }),
      ),
    }),
  ),
  'firewall.loaded': hostCommand(
    'the vservers that run here with rules of their firewall.conf in force',
    empty,
    z.object({ vservers: z.array(name) }),
  ),
  'firewall.open': hostCommand(
    'let a vserver that runs out to some addresses and TCP ports, and ask some resolvers, for so many seconds: the kernel closes that by itself. open false: its firewall is not enabled, all is open',
    z.strictObject({
      name,
      to: z.array(z.strictObject({ address, port: z.int().min(1).max(65_535) })).max(2000),
      resolvers: z.array(address).max(20),
      seconds: z.int().min(1).max(3600),
    }),
    z.object({ open: z.boolean() }),
  ),
  'firewall.close': hostCommand('end what firewall.open opened', named),
} satisfies Record<string, CommandSpec>;
