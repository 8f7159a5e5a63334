import { z } from 'zod';
import { certificateInfo, certificatePem, certificateRequest } from './authority.ts';
import { type CommandSpec, hostCommand } from './command.ts';
import { snapshotPlan } from './kept.ts';
import { limitChanges, limitReport, limits } from './limits.ts';
import { bytes, empty, epoch, hostName, id, ipv4, ipv6, label, mac, name, sshKeyLine, ts } from './names.ts';

/**
 * When it starts and stops with the others of its host: lower orders start first and stop last, those without one start last.
 * After its start the next wait `delay` (s); `stopTimeout` (s): how long it may take to stop in order.
 */
export const bootPlan = z.looseObject({
  order: z.int().min(0).max(9999).optional(),
  delay: z.int().min(0).max(3600).optional(),
  stopTimeout: z.int().min(1).max(600).optional(),
});
export type BootPlan = z.infer<typeof bootPlan>;

/**
 * One more address of a vserver. In the network of its first one it stands on eth0 too; each other network has an interface of
 * its own (eth1, ...), whose MAC stands with each of its addresses.
 */
export const furtherAddress = z.looseObject({
  network: name,
  address: ipv4.optional(),
  prefix: z.int().min(1).max(32).optional(),
  address6: ipv6.optional(),
  prefix6: z.int().min(1).max(128).optional(),
  mac: mac.optional(),
});
export type FurtherAddress = z.infer<typeof furtherAddress>;
/** One more address that a person asks for; its network is found by it. */
export const wantedAddress = z
  .strictObject({
    address: ipv4.optional(),
    prefix: z.int().min(1).max(32).optional(),
    address6: ipv6.optional(),
  })
  .refine((one) => one.address !== undefined || one.address6 !== undefined, 'an IPv4 or an IPv6 address');
/** How many of them a vserver may have. */
export const MOST_FURTHER = 31;

/** `vserver.json`, which travels with the vserver. Tolerant of new keys, so that an older agent can hold it. */
export const vserverConfig = z.looseObject({
  version: z.literal(1),
  uuid: z.uuid(),
  name,
  network: name,
  address: ipv4.optional(), // of one that has IPv6 alone: absent
  prefix: z.int().min(1).max(32).optional(),
  address6: ipv6.optional(),
  prefix6: z.int().min(1).max(128).optional(),
  mac,
  more: z.array(furtherAddress).max(MOST_FURTHER).optional(),
  domain: z.string().optional(),
  nameserver: z.string().optional(),
  enabled: z.boolean(),
  boot: bootPlan.optional(),
  snapshotPlan: snapshotPlan.optional(),
  limits: limits.default({}),
  /** The start of this vserver's range of user ids on the host, 65536 long; 0: privileged, its ids are those of the host. */
  idmap: z.int().min(0).default(100000),
  /** What the template was, for people. */
  source: z.string().default(''),
  /** The template that it was made from, as it was then. */
  template: z.object({ name: z.string(), sha256: z.string() }).optional(),
  created: ts,
});
export type VserverConfig = z.infer<typeof vserverConfig>;

export const runState = z.enum(['running', 'stopped', 'starting', 'stopping', 'frozen', 'broken', 'unknown']);
export type RunState = z.infer<typeof runState>;

/** `vs/1/hosts/{host}/vservers/{name}/state`. `epoch` 0: the host has files of it but does not own it. */
export const vserverState = z.looseObject({
  host: hostName,
  name,
  state: runState,
  enabled: z.boolean(),
  address: ipv4.optional(), // absent: it has IPv6 alone
  address6: ipv6.optional(),
  mac,
  network: name,
  more: z.array(furtherAddress).optional(),
  epoch: z.int().min(0),
  uuid: z.uuid(),
  limits,
  boot: bootPlan.optional(),
  template: z.object({ name: z.string(), sha256: z.string() }).optional(), // it was made from
  pid: z.int().optional(), // of its init, as the host sees it
  since: ts.optional(),
  saga: id.optional(), // that has it locked
  snapshots: z.int().min(1).optional(), // that are kept of it on this host
  /** Packages that could be upgraded, and those of them that mend security, as of the last look. */
  upgrades: z.int().min(0).optional(),
  security_upgrades: z.int().min(0).optional(),
  error: z.string().optional(),
  ts,
});
export type VserverState = z.infer<typeof vserverState>;

/** What the monitor needs to know of a vserver that runs. */
export const runningVserver = z.object({
  name,
  pid: z.int(),
  since: ts.optional(),
  limits,
  state: runState.optional(),
  saga: id.optional(), // that has it locked
  upgrades: z.int().min(0).optional(),
  security_upgrades: z.int().min(0).optional(),
});
export type RunningVserver = z.infer<typeof runningVserver>;

/** `/var/lib/vs-tools/owned/NAME.json`: never travels. `released` is kept as proof that this host gave up that epoch. */
export const ownership = z.strictObject({
  version: z.literal(1),
  name,
  uuid: z.uuid(),
  owner: z.boolean(),
  epoch,
  saga: id.optional(),
  releasedTo: z.string().optional(),
  ts,
});
export type Ownership = z.infer<typeof ownership>;

/** `vs/1/master/removed/{uuid}`: the last owner of a vserver, and its epoch. Who has it with a lower one gives way. */
export const removedVserver = z.looseObject({ uuid: z.uuid(), name, host: hostName, epoch, ts });
export type RemovedVserver = z.infer<typeof removedVserver>;

/** Lines for root's authorized_keys (sshd(8)): one public key each. */
export const sshKeys = z
  .array(z.string().max(16_384).regex(sshKeyLine, 'a public ssh key, such as "ssh-ed25519 AAAA... anna"'))
  .max(100)
  .refine((keys) => keys.join('\n').length <= 65_536, 'all ssh keys together are at most 64 kB');

const named = z.strictObject({ name });
const sagaStep = z.strictObject({ name, saga: id });

/** Where the files of a new vserver come from. */
export const installSource = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('busybox') }),
  z.strictObject({
    kind: z.literal('template'),
    name: z.string(),
    url: z.url(),
    sha256: z.string().regex(/^[0-9a-f]{64}$/),
    bytes,
    secret: z.string(), // sealed for the host
  }),
  z.strictObject({ kind: z.literal('staged') }), // the copy of a vserver that lies in staging
]);

export const hostAgentCommands = {
  'host-agent.list': hostCommand(
    'the vservers of this host',
    empty,
    z.object({ vservers: z.array(vserverState) }),
  ),
  'host-agent.tell': hostCommand('publish what this host is and has, now', empty),
  'host-agent.running': hostCommand(
    'which vservers run, and how many there are, as the last look found them, a second ago at most; costs the host next to nothing',
    empty,
    z.object({ running: z.array(runningVserver), hosted: z.int() }),
  ),
  'host-agent.show': hostCommand(
    'one vserver: state, configuration, ownership',
    named,
    z.object({ state: vserverState, config: vserverConfig, ownership: ownership.optional() }),
  ),
  'host-agent.start': hostCommand(
    'start a vserver that this host owns',
    z.strictObject({ name, saga: id.optional(), epoch: epoch.optional() }),
    vserverState,
  ),
  'host-agent.stop': hostCommand(
    'stop in order, by force after timeout (ms); answers once it is proved stopped, with early (for sagas) once no process of it lives, while its monitor still clears away',
    z.strictObject({
      name,
      early: z.boolean().optional(),
      timeout: z.int().min(0).max(600_000).optional(),
      force: z.boolean().optional(),
      saga: id.optional(),
      epoch: epoch.optional(),
    }),
    vserverState,
  ),
  'host-agent.freeze': hostCommand(
    'freeze a vserver of epoch for a saga and take it from the network; answers with proof. One that is stopped stays so',
    z.strictObject({ name, saga: id, epoch }),
    vserverState,
  ),
  'host-agent.thaw': hostCommand(
    'undo of freeze; refused when this host does not own it',
    z.strictObject({ name, saga: id, epoch }),
    vserverState,
  ),
  'host-agent.restart': hostCommand(
    'stop and start; pid: refused unless that is its init, and it runs',
    z.strictObject({ name, timeout: z.int().min(0).max(600_000).optional(), pid: z.int().optional() }),
    vserverState,
  ),
  'host-agent.enable': hostCommand(
    'start it at boot',
    z.strictObject({ name, saga: id.optional() }),
    vserverState,
  ),
  'host-agent.disable': hostCommand(
    'do not start it at boot',
    z.strictObject({ name, saga: id.optional() }),
    vserverState,
  ),
  'host-agent.limit': hostCommand(
    'limits of a vserver: changes them at once and for good, all or none (null: no limit; force: also below what is in use or above what the host has), then answers use, limit and hits of each resource',
    z.strictObject({ name, changes: limitChanges.optional(), force: z.boolean().optional() }),
    limitReport,
  ),
  'host-agent.exec': hostCommand(
    'run a command inside; progress {stream: stdout|stderr, data: base64}. quiet: what it says goes nowhere, and what it leaves running keeps nobody waiting',
    z.strictObject({
      name,
      quiet: z.boolean().optional(),
      command: z.array(z.string()).min(1).max(1000),
      stdin: z.base64().max(900_000).optional(),
      timeout: z.int().min(1).optional(),
    }),
    z.object({ code: z.int() }),
  ),
  'host-agent.note': hostCommand(
    'what the last look found that could be upgraded: the state shows it',
    z.strictObject({ name, upgrades: z.int().min(0), security: z.int().min(0) }),
  ),
  'host-agent.lock': hostCommand(
    'hold a vserver for a saga, ttl in ms: nobody else starts, stops or changes it; autostart waits',
    z.strictObject({ name, saga: id, ttl: z.int().min(1000).max(86_400_000) }),
    z.object({ epoch: z.int(), enabled: z.boolean(), state: runState, uuid: z.uuid().optional() }),
  ),
  'host-agent.unlock': hostCommand('end a hold', sagaStep),
  'host-agent.install': hostCommand(
    "fill the staging tree of this saga from a source and write vserver.json; sshKeys are added to root's authorized_keys",
    z.strictObject({
      name,
      saga: id,
      source: installSource,
      config: vserverConfig,
      sshKeys: sshKeys.optional(),
    }),
    z.object({ bytes, files: z.int(), note: z.string().optional() }),
  ),
  'host-agent.adapt': hostCommand(
    'a staged tree becomes the vserver of this configuration: vserver.json, host name, hosts; fresh: machine id and ssh host keys are new ones. note: what could not be changed inside',
    z.strictObject({ name, saga: id, config: vserverConfig, fresh: z.boolean() }),
    z.object({ note: z.string().optional() }),
  ),
  'host-agent.try': hostCommand(
    'start what a saga has staged where no network can be reached, look until it is well (patience in ms at most), and end it again: its init, its addresses, and the daemons and thresholds of its monitor.conf. Nobody owns it, and it is no vserver of this host',
    sagaStep.extend({ patience: z.int().min(1000).max(3_600_000) }),
    z.object({
      ms: z.number(), // from its start to the last look
      checks: z.array(z.object({ check: z.string(), ok: z.boolean(), message: z.string() })),
    }),
  ),
  'host-agent.end-try': hostCommand('end such a try, and clear away after it', sagaStep),
  'host-agent.post-install': hostCommand(
    'run a script (sealed for the host) once inside the running vserver that a saga makes; its output is kept on the host, and comes as progress {message, output}',
    z.strictObject({ name, saga: id, script: z.string().max(120_000), timeout: z.int().min(1) }),
    z.object({ code: z.int(), log: z.string(), tail: z.string() }), // the last lines of its output
  ),
  'host-agent.ownership': hostCommand(
    'every ownership record that this host has of a name or a uuid, also those that it gave up and whose files are gone',
    z.strictObject({ name: name.optional(), uuid: z.uuid().optional() }),
    z.object({ records: z.array(ownership) }),
  ),
  'host-agent.prepare': hostCommand(
    'before the stop of a move: network up, rules and limits of the staged copy checked and ready; nothing of it is used yet',
    z.strictObject({ name, saga: id, label: label.optional() }),
  ),
  'host-agent.configure': hostCommand(
    'after adopt: runtime configuration, rule files, idmapped mount of a tree that is in place',
    sagaStep,
  ),
  'host-agent.detach': hostCommand(
    'undo of configure: unmount, remove generated files; refuses while it runs',
    sagaStep,
  ),
  'host-agent.release': hostCommand(
    'give up ownership of epoch, with proof that it is stopped (frozen: that all of it is frozen; then a SIGKILL waits for each of its processes, so that nobody can thaw it); durable, cannot be undone',
    z.strictObject({ name, saga: id, epoch, to: z.string(), frozen: z.boolean().optional() }),
    z.object({ epoch, enabled: z.boolean() }),
  ),
  'host-agent.claim': hostCommand(
    'take ownership with a higher epoch than this host ever saw; start: and begin to start it, without waiting for that (a start that comes then joins)',
    z.strictObject({ name, saga: id, epoch, start: z.boolean().optional() }),
    vserverState,
  ),
  'host-agent.answering': hostCommand(
    'wait until it runs and its address answers on its network; with settle (ms) it is left alone until so long after its start',
    z.strictObject({
      name,
      timeout: z.int().min(0).max(120_000),
      settle: z.int().min(0).max(10_000).optional(),
    }),
    z.object({ ms: z.int() }),
  ),
  'host-agent.renew': hostCommand(
    'make the next key of this host, which it keeps beside the one in use, and answer the request for its certificate',
    empty,
    z.object({ request: certificateRequest, address: z.union([ipv4, ipv6]) }),
  ),
  'host-agent.certificate': hostCommand(
    'check the certificate for the next key, put both in place at once, and connect with them',
    z.strictObject({ certificate: certificatePem }),
    z.object({ certificate: certificateInfo }),
  ),
} satisfies Record<string, CommandSpec>;
