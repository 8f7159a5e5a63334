import { z } from 'zod';
import { type CommandSpec, masterCommand } from './command.ts';
import { hostName, ts } from './names.ts';

/** The longest life of a join token, ms. */
export const MAX_TTL_MS = 86_400_000;
/** What a join request may be long, in bytes. */
export const MAX_JOIN = 16_384;

/** One certificate, for people and programs: its serial number, and from when to when it counts. */
export const certificateInfo = z.object({ serial: z.string(), from: ts, ends: ts });
export type CertificateInfo = z.infer<typeof certificateInfo>;

/** A certificate request in PEM (PKCS 10). */
export const certificateRequest = z.string().min(100).max(4096);
/** A certificate in PEM. */
export const certificatePem = z.string().min(100).max(8192);

/** What `vs join` sends to the join listener of the master: one line of JSON over TLS. */
export const joinRequest = z.strictObject({
  version: z.literal(1),
  name: hostName,
  secret: z.string().regex(/^[A-Za-z0-9_-]{22,64}$/),
  request: certificateRequest,
  address: z.union([z.ipv4(), z.ipv6()]), // where other hosts reach it
});
export type JoinRequest = z.infer<typeof joinRequest>;
/** What it answers, one line too. */
export const joinAnswer = z.discriminatedUnion('ok', [
  z.object({
    ok: z.literal(true),
    certificate: certificatePem,
    authority: certificatePem,
    broker: z.string().max(300), // BROKER_URL of the host; {master} is what the host knows the master by
    base: z.string().max(100), // BASE_TOPIC
  }),
  z.object({ ok: z.literal(false), message: z.string().max(2000) }),
]);
export type JoinAnswer = z.infer<typeof joinAnswer>;

/** The authority on the master: which hosts belong to the pool, and their certificates. */
export const authorityCommands = {
  'authority.token': masterCommand(
    'a one-time token with which a new host joins, in place of an earlier one; ttl in ms; again: also when it is a host already',
    z.strictObject({
      name: hostName,
      ttl: z.int().min(1000).max(MAX_TTL_MS).optional(),
      again: z.boolean().optional(),
    }),
    z.object({ token: z.string(), master: z.string(), ends: ts }), // master: HOST[:PORT] for vs join
  ),
  'authority.list': masterCommand(
    'the hosts that joined with their newest certificate, and the tokens that wait',
    z.strictObject({}),
    z.object({
      hosts: z.array(z.object({ host: hostName, certificate: certificateInfo })),
      tokens: z.array(z.object({ host: hostName, ends: ts, used: z.boolean() })),
    }),
  ),
  'authority.renew': masterCommand(
    'a new key and certificate for a host that is online, now',
    z.strictObject({ host: hostName }),
    z.object({ certificate: certificateInfo }),
  ),
  'authority.remove': masterCommand(
    'take a host out of the pool: its certificates count no more, its connections end, its topics are cleared; force: with vservers on it',
    z.strictObject({ host: hostName, force: z.boolean().optional() }),
    z.object({ revoked: z.int(), cleared: z.int(), vservers: z.array(z.string()) }),
  ),
} satisfies Record<string, CommandSpec>;
