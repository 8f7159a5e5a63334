import { Command } from 'commander';
import { describeFailure } from './exit.ts';
import { shapeHelp } from './help.ts';

interface Verb {
  summary: string;
  load: () => Promise<{ register(program: Command): void }>;
}
const life = () => import('./verbs/life.ts');

/** Each verb's module is loaded only when it is called, so that `vs scan` loads neither zod nor the others. */
export const verbs: Record<string, Verb> = {
  master: { summary: 'make this machine the master of a pool', load: () => import('./verbs/master.ts') },
  'import-classic': {
    summary: 'take over the settings of a vs-tools of 2007',
    load: () => import('./verbs/import-classic.ts'),
  },
  join: { summary: 'make this machine a host of a pool', load: () => import('./verbs/join.ts') },
  host: { summary: 'the hosts of the pool', load: () => import('./verbs/host.ts') },
  scan: { summary: 'every vserver of every host', load: () => import('./verbs/scan.ts') },
  show: { summary: 'one vserver in full', load: () => import('./verbs/show.ts') },
  stats: {
    summary: 'figures of hosts and vservers, now or over time',
    load: () => import('./verbs/stats.ts'),
  },
  top: { summary: 'the vservers that use most', load: () => import('./verbs/top.ts') },
  create: { summary: 'create a vserver', load: () => import('./verbs/create.ts') },
  start: { summary: 'start vservers', load: life },
  stop: { summary: 'stop vservers', load: life },
  restart: { summary: 'stop and start vservers', load: life },
  enable: { summary: 'start vservers at boot', load: life },
  disable: { summary: 'do not start vservers at boot', load: life },
  pause: { summary: 'freeze vservers where they are', load: life },
  resume: { summary: 'let paused vservers run on', load: life },
  kill: { summary: 'end vservers at once, by force', load: life },
  boot: { summary: 'in which order vservers start and stop', load: () => import('./verbs/boot.ts') },
  logs: { summary: 'the console of a vserver', load: () => import('./verbs/logs.ts') },
  exec: { summary: 'run a command in a vserver', load: () => import('./verbs/exec.ts') },
  address: { summary: 'addresses of a vserver: show, add, remove', load: () => import('./verbs/address.ts') },
  limit: { summary: 'limits of a vserver: show or change', load: () => import('./verbs/limit.ts') },
  enter: { summary: 'a shell in a vserver', load: () => import('./verbs/enter.ts') },
  push: { summary: 'copy files into a vserver', load: () => import('./verbs/push.ts') },
  pull: { summary: 'copy files out of a vserver', load: () => import('./verbs/pull.ts') },
  move: { summary: 'move a vserver to another host', load: () => import('./verbs/move.ts') },
  get: { summary: 'copy a vserver to the master', load: () => import('./verbs/get.ts') },
  put: { summary: "bring the master's copy of a vserver to a host", load: () => import('./verbs/put.ts') },
  recover: {
    summary: 'bring back a vserver whose host is dead',
    load: () => import('./verbs/recover.ts'),
  },
  copies: { summary: 'the copies that the master keeps', load: () => import('./verbs/copies.ts') },
  backup: { summary: 'backups of vservers: run, list, restore', load: () => import('./verbs/backup.ts') },
  copy: { summary: 'make a new vserver from another', load: () => import('./verbs/copy.ts') },
  snapshot: {
    summary: 'snapshots of vservers: make, list, compare, go back to',
    load: () => import('./verbs/snapshot.ts'),
  },
  rename: { summary: 'give a vserver another name', load: () => import('./verbs/rename.ts') },
  trash: {
    summary: 'what was removed or moved: list, restore, empty',
    load: () => import('./verbs/trash.ts'),
  },
  remove: { summary: 'remove a stopped vserver (to the trash)', load: () => import('./verbs/remove.ts') },
  evacuate: {
    summary: 'move every vserver of a host to others',
    load: () => import('./verbs/evacuate.ts'),
  },
  'restore-host': {
    summary: 'bring back what was evacuated from a host',
    load: () => import('./verbs/restore-host.ts'),
  },
  net: { summary: 'the networks of the pool', load: () => import('./verbs/net.ts') },
  template: { summary: 'what vservers are created from', load: () => import('./verbs/template.ts') },
  saga: { summary: 'moves and other long work: see, follow, abort', load: () => import('./verbs/saga.ts') },
  events: { summary: 'what happens in the pool', load: () => import('./verbs/events.ts') },
  alerts: { summary: 'what is wrong in the pool', load: () => import('./verbs/alerts.ts') },
  alert: {
    summary: 'acknowledge, silence and try alerts',
    load: () => import('./verbs/alert.ts'),
  },
  audit: { summary: 'who commanded what, and how it ended', load: () => import('./verbs/audit.ts') },
  topics: { summary: 'the topics of the bus', load: () => import('./verbs/topics.ts') },
  listen: { summary: 'hear topics of the bus', load: () => import('./verbs/listen.ts') },
  call: { summary: 'send any command to a service', load: () => import('./verbs/call.ts') },
  lab: {
    summary: 'a pool on this one machine, to try and to test (root)',
    load: () => import('./verbs/lab.ts'),
  },
  user: { summary: 'who may speak to the broker (on the master)', load: () => import('./verbs/user.ts') },
  broker: { summary: 'set up an external broker (on the master)', load: () => import('./verbs/broker.ts') },
  fw: { summary: 'the firewall of a vserver', load: () => import('./verbs/fw.ts') },
  monitor: { summary: 'what is watched of a vserver', load: () => import('./verbs/monitor.ts') },
  pkg: { summary: 'packages inside vservers', load: () => import('./verbs/pkg.ts') },
  doctor: {
    summary: 'look whether hosts and master are fit, and say what to do',
    load: () => import('./verbs/doctor.ts'),
  },
  service: { summary: 'run services in this process', load: () => import('./verbs/service.ts') },
  version: { summary: 'the version of vs-tools', load: () => import('./verbs/version.ts') },
};

/** `--local` stands anywhere before `--`: it is of every verb that asks a host. */
function withoutLocal(argv: string[]): string[] {
  const end = argv.indexOf('--');
  const at = argv.indexOf('--local');
  if (at < 0 || (end >= 0 && end < at)) return argv;
  process.env['VS_LOCAL'] = '1';
  return argv.toSpliced(at, 1);
}

/** Runs one command line; returns its exit code. */
export async function main(given: string[]): Promise<number> {
  const argv = withoutLocal(given);
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0); // vs scan | head
  });
  const program = shapeHelp(new Command('vs'))
    .description('Manage a pool of hosts and their vservers.')
    .exitOverride()
    .enablePositionalOptions()
    .addHelpText(
      'after',
      `
Examples:
  vs scan
  vs create web1 10.60.10.5 bookworm --host host1 --enable --start
  vs move web1 host2
  vs VERB --help
  vs stop web1 --local      on its host, without broker and master

Exit codes: 0 done, 1 failed, 2 usage, 3 stuck, 4 nothing answered`,
    );
  try {
    const word = argv[0] === 'help' ? argv[1] : argv[0];
    const verb = word && Object.hasOwn(verbs, word) ? verbs[word] : undefined;
    if (argv[0] === 'help' && word && !verb && !word.startsWith('-')) return await main([word]); // a wrong one
    if (word === '--version' || word === '-V') return await main(['version']);
    if (verb) (await verb.load()).register(program);
    else for (const [name, { summary }] of Object.entries(verbs)) program.command(name).description(summary);
    if (argv.length === 0) {
      program.outputHelp({ error: true });
      return 2;
    }
    await program.parseAsync(argv, { from: 'user' });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    const { text, code } = describeFailure(error);
    if (text) process.stderr.write(`vs: ${text}\n`);
    return code;
  }
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2));
