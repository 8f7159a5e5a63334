import { z } from 'zod';
import { canonical6 } from '../addresses.ts';

/** A host, vserver, network or template name: a DNS label of at most 32 characters (design.md, "The bus"). */
export const name = z
  .string()
  .max(32, 'a name has at most 32 characters')
  .regex(
    /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/,
    'a name is lower-case letters, digits and inner dashes, such as web1',
  );

/** A host name; `master` is the word for the master's own topics and is refused. */
export const hostName = name.refine((value) => value !== 'master', 'a host cannot be called master');

/** The name of a vserver that is made or renamed; `host` is the word for the host's own alerts (`alerts/host/CHECK`). */
export const newVserver = name.refine((value) => value !== 'host', 'a vserver cannot be called host');

/** The id of a saga, a client or a command: one topic level of `[A-Za-z0-9_-]`. */
export const id = z
  .string()
  .min(1)
  .max(64)
  .regex(/^[A-Za-z0-9_-]+$/, 'an id is letters, digits, _ and -');

export const ipv4 = z.ipv4();
/** In its one form (RFC 5952): the same address is always the same text. */
export const ipv6 = z.ipv6().overwrite(canonical6);
/** A unicast MAC address in lower case. */
export const mac = z
  .string()
  .regex(/^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/, 'a unicast MAC address such as 02:1a:2b:3c:4d:5e');
/** A line of authorized_keys with a public key: options of sshd(8), the kind, the key, a comment. No control characters. */
export const sshKeyLine =
  /^(?:[^\p{Cc}]+ )?(?:ssh-(?:ed25519|rsa)|ecdsa-sha2-nistp(?:256|384|521)|sk-(?:ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com) AAAA[A-Za-z0-9+/]+={0,2}(?: [^\p{Cc}]*)?$/u;
/** Bytes, a whole number. */
export const bytes = z.int().min(0);
/** Epoch milliseconds. */
export const ts = z.int().min(0);
/** The number of a vserver's owner in a row of owners: each move adds one (design.md, invariant 1). */
export const epoch = z.int().min(1);
export const empty = z.strictObject({});
/** The name of one snapshot of a saga. */
export const label = z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/);
/** A copy that a saga has staged: a received snapshot (label) or the tree. */
export const staged = z.strictObject({
  saga: id,
  label: label.optional(),
});
