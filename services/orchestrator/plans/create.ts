import { firstOf } from '../../../shared/addresses.ts';
import { randomUUID } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { type CreateDefaults, loadCreate } from '../../../config/create.ts';
import { parseSshKeys } from '../../../config/ssh-keys.ts';
import { randomMac } from '../../../config/further.ts';
import type { Args } from '../../../shared/contract/commands.ts';
import { MOST_SCRIPT } from '../../../shared/contract/orchestrator.ts';
import { VsError } from '../../../shared/errors.ts';
import { networksOf } from '../../../shared/interfaces.ts';
import { withChanges } from '../../../shared/limits.ts';
import { checkAddresses, placeIn, requireFirst, requireFree, requireNetworks } from './address.ts';
import { beyond, candidates, chooseHost, networkOfAddress } from './choose.ts';
import { requireRules } from './firewall.ts';
import { furtherIn } from './further.ts';
import { requireLimits } from './limits.ts';
import { cloneTo, originalOf } from './original.ts';
import type { Deciding, Planned } from './planned.ts';
import { sourceOf, summaryOf } from './summary.ts';

/** A file of the master that create.conf names. Throws VsError 'usage'. */
async function textOf(key: string, file: string): Promise<string> {
  const say = (why: string) => new VsError('usage', `${key} of create.conf: ${file} ${why}`);
  const there = await stat(file).catch(() => undefined);
  if (!there?.isFile()) throw say('is no file on the master');
  if (there.size > MOST_SCRIPT) throw say(`has more than ${MOST_SCRIPT} bytes`);
  return readFile(file, 'utf8');
}

/** The public keys and the script of a new vserver: what the command says, else what create.conf does. */
async function extras(args: Args<'orchestrator.create'>, defaults: CreateDefaults) {
  const sshKeys = args.sshKeys ?? [];
  if (!args.sshKeys)
    for (const file of defaults.sshKeyFiles ?? []) {
      const text = await textOf('SSH_KEY', file);
      try {
        sshKeys.push(...parseSshKeys(text, file));
      } catch (error) {
        throw new VsError('usage', `SSH_KEY of create.conf: ${(error as Error).message}`, { cause: error });
      }
    }
  const file = args.postInstall === undefined ? defaults.postInstallFile : undefined;
  const postInstall = file ? await textOf('POST_INSTALL', file) : args.postInstall;
  return {
    ...(sshKeys.length > 0 ? { sshKeys } : {}),
    ...(postInstall ? { postInstall, ...(args.keep ? { keep: true } : {}) } : {}),
  };
}

/** The arguments as everybody may see them: sagas are read by viewers. */
function shownArgs(args: Args<'orchestrator.create'>): Record<string, unknown> {
  const { sshKeys, postInstall, ...rest } = args;
  return {
    ...rest,
    ...(sshKeys ? { sshKeys: sshKeys.length } : {}),
    ...(postInstall ? { postInstall: `${Buffer.byteLength(postInstall)} bytes` } : {}),
  };
}

/** Decides a create; refuses with a sentence before anything is journaled or changed. */
export async function planCreate(deciding: Deciding, args: Args<'orchestrator.create'>): Promise<Planned> {
  const { context, pool } = deciding;
  const defaults = await loadCreate(context.settings);
  const source = args.source ?? defaults.source;
  if (!source) throw new VsError('usage', 'no source is given, and create.conf has no TEMPLATE');
  requireFree(pool, args.name);
  const more = await extras(args, defaults);
  const original = await originalOf(deciding, source);
  const from = await sourceOf(deciding, source, original);
  if (args.dryRun && from.unknown) throw new VsError('not-found', from.text);
  const limits = withChanges(original?.vserver.limits ?? defaults.limits, args.limits ?? {});
  const wish = { limits, disk: from.disk };
  const named = args.host ?? defaults.host;
  if (named !== undefined) pool.requireHost(named);
  const hosts = named === undefined ? await candidates(deciding) : [named];
  const network = await networkOfAddress(deciding, hosts, requireFirst(args));
  const host = named ?? (await chooseHost(deciding, network.name, wish, original?.clone.host));
  const info = pool.requireHost(host);
  requireLimits(info, args.limits ?? {});
  const tooMuch = beyond(info, wish);
  if (tooMuch) throw new VsError('refused', tooMuch);
  const address6 = checkAddresses(pool, network, args);
  const place = placeIn(network, args.address, address6, args.prefix);
  const further = await furtherIn(deciding, hosts, { name: args.name, ...place }, args.more);
  requireNetworks(info, networksOf({ ...place, ...further }));
  const was =
    original &&
    (await context.bus.request(original.clone.host, 'host-agent.show', { name: original.clone.of })).config;
  const inherited = was?.network === network.name ? was : undefined;
  if (!original) await requireRules(deciding, { name: args.name, host });
  const domain = args.domain ?? inherited?.domain ?? defaults.domain ?? network.domain;
  const nameserver = args.nameserver ?? inherited?.nameserver ?? defaults.nameserver ?? network.nameserver;
  const privileged = args.privileged ?? (was ? was.idmap === 0 : defaults.privileged === true);
  const config = {
    version: 1 as const,
    uuid: randomUUID(),
    name: args.name,
    ...place,
    mac: randomMac(),
    ...further,
    domain,
    nameserver,
    enabled: args.enable ?? defaults.enable ?? false,
    limits,
    idmap: privileged ? 0 : was?.idmap || 100_000,
    source,
    ...(was?.template ? { template: was.template } : {}),
    created: Date.now(),
  };
  const plan = {
    name: args.name,
    host,
    hostAddress: info.address,
    source,
    config,
    start: args.start ?? defaults.start ?? false,
    ...more,
    ...(original ? { clone: await cloneTo(deciding, original, host) } : {}),
  };
  const why =
    args.host !== undefined
      ? 'as you named it'
      : defaults.host !== undefined
        ? 'as create.conf says'
        : host === original?.clone.host
          ? `where ${original.clone.of} is`
          : `the one with most room of ${hosts.join(', ')}`;
  return {
    kind: 'create',
    plan,
    vserver: args.name,
    ...(original ? { also: [original.clone.of] } : {}), // it must not go away meanwhile
    onto: host,
    args: shownArgs(args),
    shows: { summary: summaryOf({ plan, network, info, why, from }) },
    title: `${args.name}: new on ${host}, ${firstOf(args)} in network ${network.name}, from ${source}`,
  };
}
