import { isAbsolute, normalize } from 'node:path';
import type { Command } from 'commander';
import type { Data } from '../../shared/contract/commands.ts';
import { VsError } from '../../shared/errors.ts';
import { type Client, withClient } from '../client.ts';
import { printJson } from '../json.ts';
import { hostOf } from '../locate.ts';
import { checkHost, checkName, quoted, secondsOf } from '../names.ts';
import { moment, table } from '../table.ts';
import { checkSnapshot } from './names.ts';

interface Where {
  host?: string;
  json?: boolean;
}
type Row = Data<'snapshot.kept'>['snapshots'][number] & { host: string };

const HOST = ['--host <host>', 'on this host, without asking the master'] as const;

/** Of one vserver, or of all hosts that are online; those that do not answer are named. */
async function listAll(client: Client, name: string | undefined, host: string | undefined): Promise<Row[]> {
  const of = async (one: string, vserver: string) => {
    const { snapshots } = await client.request(one, 'snapshot.kept', { name: vserver });
    return snapshots.map((each) => ({ ...each, host: one }));
  };
  if (name !== undefined) return of(await hostOf(client, name, host), name);
  const ofHost = async (one: string) => {
    const { vservers } = await client.request(one, 'host-agent.list', {});
    const having = vservers.filter((each) => each.snapshots);
    return (await Promise.all(having.map((each) => of(one, each.name)))).flat();
  };
  if (host !== undefined) return ofHost(host);
  const { hosts } = await client.request('master', 'orchestrator.hosts', {});
  const asked = hosts.map(async (one) =>
    ofHost(one.host).catch(() => {
      process.stderr.write(`${one.host} does not answer: its snapshots are not shown.\n`);
      return [];
    }),
  );
  return (await Promise.all(asked)).flat();
}

const noteOf = ({ protected: isProtected, mounted, note }: Row): string =>
  [isProtected ? 'protected' : '', mounted ? `mounted at ${mounted.join(', ')}` : '', note ?? '']
    .filter(Boolean)
    .join('; ');

/** What looks at snapshots, and keeps hands off them. */
export function register(snapshot: Command): void {
  snapshot
    .command('list')
    .description('the snapshots of a vserver, or of all')
    .argument('[name]', 'the vserver')
    .option(...HOST)
    .option('--json', 'for programs')
    .addHelpText('after', '\nExamples:\n  vs snapshot list\n  vs snapshot list web1 --json')
    .action(async (name: string | undefined, options: Where) => {
      if (name !== undefined) checkName(name);
      if (options.host !== undefined) checkHost(options.host);
      const all = await withClient((client) => listAll(client, name, options.host));
      if (options.json) return printJson(all);
      if (all.length === 0) return console.log('There are no snapshots.');
      const rows = all.map((one) => [
        one.name,
        one.snapshot,
        moment(one.taken),
        one.kind,
        one.by,
        one.host,
        noteOf(one),
      ]);
      console.log(table(['NAME', 'SNAPSHOT', 'TAKEN', 'KIND', 'BY', 'HOST', 'NOTE'], rows));
    });
  snapshot
    .command('show')
    .description('one snapshot')
    .argument('<name>', 'the vserver')
    .argument('<snapshot>', 'name of the snapshot')
    .option(...HOST)
    .option('--json', 'for programs')
    .addHelpText('after', '\nExamples:\n  vs snapshot show web1 before-upgrade')
    .action(async (name: string, given: string, options: Where) => {
      checkName(name);
      checkSnapshot(given);
      if (options.host !== undefined) checkHost(options.host);
      const all = await withClient(async (client) =>
        listAll(client, name, await hostOf(client, name, options.host)),
      );
      const one = all.find((each) => each.snapshot === given);
      if (!one)
        throw new VsError('not-found', `${name} has no snapshot ${given}; see: vs snapshot list ${name}`);
      if (options.json) return printJson(one);
      const facts: [string, string | undefined][] = [
        ['snapshot', one.snapshot],
        ['vserver', one.vserver === name ? name : `${name}, which was called ${one.vserver} then`],
        ['host', one.host],
        ['taken', `${moment(one.taken)}, by ${one.by} (${one.kind})`],
        ['frozen', one.frozenMs === undefined ? 'no: it did not run' : `for ${Math.ceil(one.frozenMs)} ms`],
        ['protected', one.protected ? 'yes' : 'no'],
        ['mounted', one.mounted?.join(', ')],
        ['note', one.note],
      ];
      for (const [key, value] of facts) if (value) console.log(`${key.padEnd(10)} ${value}`);
    });
  for (const [verb, isProtected] of [
    ['protect', true],
    ['unprotect', false],
  ] as const)
    snapshot
      .command(verb)
      .description(
        isProtected ? 'nobody removes it, neither by hand nor by itself' : 'it may be removed again',
      )
      .argument('<name>', 'the vserver')
      .argument('<snapshot>', 'name of the snapshot')
      .option(...HOST)
      .option('--json', 'for programs')
      .addHelpText('after', `\nExamples:\n  vs snapshot ${verb} web1 before-upgrade`)
      .action(async (name: string, given: string, options: Where) => {
        checkName(name);
        checkSnapshot(given);
        if (options.host !== undefined) checkHost(options.host);
        const one = await withClient(async (client) =>
          client.request(await hostOf(client, name, options.host), 'snapshot.protect', {
            name,
            snapshot: given,
            protected: isProtected,
          }),
        );
        if (options.json) return printJson(one);
        console.log(`${name}: snapshot ${given} is ${isProtected ? 'protected' : 'not protected any more'}.`);
      });
  snapshot
    .command('diff')
    .description('which files were added, changed or removed since a snapshot')
    .argument('<name>', 'the vserver')
    .argument('<snapshot>', 'name of the older one')
    .argument('[other]', 'name of the newer one (the vserver as it is now unless given)')
    .option('--limit <number>', 'so many paths at most, 1 to 5000 (1000 unless told)')
    .option(...HOST)
    .option('--json', 'for programs')
    .addHelpText(
      'after',
      `
A path with control characters or bytes that are no UTF-8 has \\xNN in the place of those; --json has its bytes, too.

Examples:
  vs snapshot diff web1 before-upgrade
  vs snapshot diff web1 monday friday --json`,
    )
    .action(
      async (name: string, given: string, other: string | undefined, options: Where & { limit?: string }) => {
        checkName(name);
        for (const one of other === undefined ? [given] : [given, other]) checkSnapshot(one);
        if (options.host !== undefined) checkHost(options.host);
        const limit =
          options.limit === undefined ? {} : { limit: secondsOf(options.limit, '--limit', 1, 5000) };
        const found = await withClient(async (client) =>
          client.request(
            await hostOf(client, name, options.host),
            'snapshot.compare',
            { name, snapshot: given, ...(other === undefined ? {} : { other }), ...limit },
            { timeoutMs: 1_200_000 },
          ),
        );
        if (options.json) return printJson(found);
        const marks = { added: '+', changed: '*', removed: '-' };
        for (const { what, path } of found.differences) console.log(`${marks[what]} ${path}`);
        const { added, changed, removed, more } = found;
        console.log(
          `${added} added, ${changed} changed, ${removed} removed${more ? '; not all are listed (--limit)' : ''}.`,
        );
      },
    );
  snapshot
    .command('mount')
    .description('show the files of a snapshot at a directory of the host, read-only')
    .argument('<name>', 'the vserver')
    .argument('<snapshot>', 'name of the snapshot')
    .argument(
      '<directory>',
      'an empty directory of the host below /mnt, /media or /srv; it is made where its parent exists',
    )
    .option(...HOST)
    .option('--json', 'for programs')
    .addHelpText(
      'after',
      `
Owners and rights of the files are those inside the vserver. Whoever may enter the directory can read them so: one that is
made is root's alone.

Examples:
  vs snapshot mount web1 before-upgrade /mnt/web1`,
    )
    .action(async (name: string, given: string, directory: string, options: Where) => {
      checkName(name);
      checkSnapshot(given);
      if (options.host !== undefined) checkHost(options.host);
      if (!isAbsolute(directory) || directory.includes('..'))
        throw new VsError('usage', `${quoted(directory)} is no absolute path of a directory.`);
      const [host, one] = await withClient(async (client) => {
        const where = await hostOf(client, name, options.host);
        const asked = { name, snapshot: given, directory: normalize(directory) };
        return [where, await client.request(where, 'snapshot.mount', asked)] as const;
      });
      if (options.json) return printJson(one);
      console.log(
        `${name}: snapshot ${given} is at ${normalize(directory)} on ${host}, until: vs snapshot umount ${name} ${given}`,
      );
    });
  snapshot
    .command('umount')
    .description('end a mount, everywhere on its host')
    .argument('<name>', 'the vserver')
    .argument('<snapshot>', 'name of the snapshot')
    .option(...HOST)
    .option('--json', 'for programs')
    .addHelpText('after', '\nExamples:\n  vs snapshot umount web1 before-upgrade')
    .action(async (name: string, given: string, options: Where) => {
      checkName(name);
      checkSnapshot(given);
      if (options.host !== undefined) checkHost(options.host);
      const { unmounted } = await withClient(async (client) =>
        client.request(await hostOf(client, name, options.host), 'snapshot.umount', {
          name,
          snapshot: given,
        }),
      );
      if (options.json) return printJson({ unmounted });
      console.log(`${name}: snapshot ${given} is no more at ${unmounted.join(', ')}.`);
    });
}
