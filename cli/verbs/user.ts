import { randomBytes } from 'node:crypto';
import type { Command } from 'commander';
import type { Rights } from '../../broker/users.ts';
import { VsError } from '../../shared/errors.ts';
import { checkName, quoted } from '../names.ts';
import { table } from '../table.ts';

const roles = ['operator', 'viewer', 'agent', 'master'] as const;
interface Wanted {
  role?: string;
  read?: string[];
  write?: string[];
}

/** The rights of a new user: a role, or topic filters. */
async function rightsFor({ role, read, write }: Wanted): Promise<Rights> {
  const either = `A user has --role ROLE (${roles.join(', ')}), or --read and --write with topic filters`;
  if (role !== undefined) {
    if (read ?? write) throw new VsError('usage', `${either}, not both.`);
    const named = roles.find((one) => one === role);
    if (!named) throw new VsError('usage', `A role is ${roles.join(', ')}, not ${quoted(role)}.`);
    return { role: named };
  }
  if (!read && !write) throw new VsError('usage', `${either}.`);
  const { filter } = await import('../../broker/users.ts');
  for (const one of [...(read ?? []), ...(write ?? [])])
    if (!filter.safeParse(one).success)
      throw new VsError(
        'usage',
        `${quoted(one)} is no topic filter: it is a full topic such as vs/1/hosts/+/status, where + is a whole level and # the last one.`,
      );
  return { role: 'custom', read: read ?? [], write: write ?? [] };
}

async function usersOfBroker() {
  const { loadSettings } = await import('../../config/settings.ts');
  const { usersIn } = await import('../../broker/users-file.ts');
  const file = loadSettings().BROKER_USERS;
  if (!file)
    throw new VsError(
      'usage',
      'vs-tools.conf names no BROKER_USERS; this works on the master, where the broker runs.',
    );
  return usersIn(file);
}

/** Throws a sentence when nobody should have such a password. */
function requireLong(password: string): void {
  if (password.length < 8) throw new VsError('usage', 'The password has fewer than 8 characters.');
}

/** One line from the terminal, without showing it and therefore twice, or from the standard input. */
async function readPassword(): Promise<string> {
  const input = process.stdin;
  const hidden = input.isTTY;
  if (hidden) {
    process.stderr.write('Password: ');
    input.setRawMode(true);
  }
  let text = '';
  let first: string | undefined;
  try {
    for await (const chunk of input) {
      for (const letter of (chunk as Buffer).toString()) {
        if (letter === '\u0003') throw new VsError('usage', 'Given up.');
        if (letter === '\n' || letter === '\r') {
          if (!hidden || text === first) return text;
          if (first !== undefined) throw new VsError('usage', 'These are two different passwords.');
          requireLong(text);
          [first, text] = [text, ''];
          process.stderr.write('\nThe same again: ');
          continue;
        }
        text = hidden && (letter === '\u007f' || letter === '\b') ? text.slice(0, -1) : text + letter;
      }
      if (text.length > 1024) throw new VsError('usage', 'The password is longer than 1024 characters.');
    }
    return text;
  } finally {
    if (hidden) {
      input.setRawMode(false);
      process.stderr.write('\n');
    }
    input.destroy();
  }
}

async function newPassword(generate: boolean | undefined): Promise<string> {
  const password = generate ? randomBytes(24).toString('base64url') : await readPassword();
  requireLong(password);
  return password;
}

/** A user with its role; with filters of its own, one of them a line. */
function rowsOf(one: { name: string } & Rights): string[][] {
  if (one.role !== 'custom') return [[one.name, one.role]];
  const filters = [...one.read.map((text) => `read ${text}`), ...one.write.map((text) => `write ${text}`)];
  return [[one.name, one.role, filters[0] ?? 'nothing'], ...filters.slice(1).map((text) => ['', '', text])];
}

/** `vs user add|passwd|certificate|remove|list`: who may speak to the embedded broker; on the master, as root. */
export function register(program: Command): void {
  const user = program
    .command('user')
    .description('who may speak to the embedded broker (on the master, as root)')
    .addHelpText('after', '\nExamples:\n  vs user list\n  vs user add anna --role operator');
  user.hook('postAction', async (_user, verb) => {
    if (verb.name() === 'list') return;
    const { loadSettings } = await import('../../config/settings.ts');
    const kind = loadSettings().BROKER_KIND;
    if (kind !== 'embedded')
      process.stderr.write(
        `vs: ${kind} does not know of it yet: run "vs broker config ${kind}" as before, and let it read its files again (SIGHUP)\n`,
      );
  });
  user
    .command('list')
    .description('the users and their roles')
    .option('--json', 'for programs')
    .addHelpText('after', '\nExamples:\n  vs user list --json')
    .action(async (options: { json?: boolean }) => {
      const users = await (await usersOfBroker()).list();
      if (options.json) console.log(JSON.stringify(users, null, 2));
      else console.log(table(['USER', 'ROLE', 'MAY'], users.flatMap(rowsOf)));
    });
  user
    .command('add')
    .description('add a user; its password is asked for, or read from the standard input')
    .argument('<name>', 'its name; for an agent the name of its host')
    .option('--role <role>', roles.join(', '))
    .option('--read <filters...>', 'topics that it may hear, instead of a role')
    .option('--write <filters...>', 'topics that it may publish on; commands only if the filter says so')
    .option('--generate', 'make a password and print it')
    .option('--certificate', 'it has a certificate of that common name, and no password')
    .addHelpText(
      'after',
      '\nExamples:\n  vs user add anna --role operator\n  vs user add host1 --role agent --generate > host1.password' +
        '\n  vs user add host1 --role agent --certificate' +
        "\n  vs user add grafana --read 'vs/1/hosts/+/metrics' 'vs/1/hosts/+/vservers/+/metrics'" +
        "\n  vs user add starter --write 'vs/1/hosts/+/commands/host-agent/start'",
    )
    .action(async (name: string, options: Wanted & { generate?: boolean; certificate?: boolean }) => {
      checkName(name, 'user');
      const rights = await rightsFor(options);
      if (options.certificate) {
        if (options.generate) throw new VsError('usage', 'Either --generate or --certificate.');
        const users = await usersOfBroker();
        if ((await users.list()).some((one) => one.name === name))
          throw new VsError('conflict', `There is a user ${name} already.`);
        await users.certify(name, rights);
        return console.log(`${name} is a user now, ${rights.role}, by certificate.`);
      }
      const password = await newPassword(options.generate);
      await (await usersOfBroker()).add(name, rights, password);
      if (options.generate) console.log(password);
      else console.log(`${name} is a user now, ${rights.role}.`);
    });
  user
    .command('passwd')
    .description('a new password')
    .argument('<name>', 'its name')
    .option('--generate', 'make a password and print it')
    .addHelpText('after', '\nExamples:\n  vs user passwd anna')
    .action(async (name: string, options: { generate?: boolean }) => {
      checkName(name, 'user');
      const password = await newPassword(options.generate);
      await (await usersOfBroker()).setPassword(name, password);
      console.log(options.generate ? password : `${name} has a new password.`);
    });
  user
    .command('certificate')
    .description('a certificate of the pool for a person or a program, beside or in the place of a password')
    .argument('<name>', 'its name')
    .requiredOption('--out <directory>', 'where NAME.pem, NAME.key and ca.pem come')
    .option('--request <file>', 'a certificate request (PEM, EC P-256): the key stays with its owner')
    .option('--days <n>', 'how long it counts, 1 to 825', '365')
    .addHelpText(
      'after',
      '\nThe same line again renews it, with the key that lies there.\n\nExamples:' +
        '\n  vs user certificate anna --out anna\n  vs user certificate grafana --request grafana.csr --out .',
    )
    .action(async (name: string, options: { out: string; request?: string; days: string }) => {
      checkName(name, 'user');
      const days = Number(options.days);
      if (!(Number.isInteger(days) && days >= 1 && days <= 825))
        throw new VsError('usage', `--days is a whole number from 1 to 825, not ${quoted(options.days)}.`);
      const { loadSettings } = await import('../../config/settings.ts');
      const { certifyPerson } = await import('../../services/authority/person.ts');
      const { out: directory, request } = options;
      const wrote = await certifyPerson(loadSettings(), { name, directory, request, days });
      console.log(`Wrote ${wrote.join(', ')}; good for ${days} ${days === 1 ? 'day' : 'days'}.`);
    });
  user
    .command('remove')
    .description('remove a user')
    .argument('<name>', 'its name')
    .addHelpText('after', '\nExamples:\n  vs user remove anna')
    .action(async (name: string) => {
      checkName(name, 'user');
      const users = await usersOfBroker();
      const { loadSettings } = await import('../../config/settings.ts');
      const { revokePerson } = await import('../../services/authority/person.ts');
      // first, so that the same line ends what was cut off between
      if ((await users.list()).some((one) => one.name === name)) await revokePerson(loadSettings(), name);
      await users.remove(name);
      console.log(`${name} is no user any more.`);
    });
}
