import type { Command } from 'commander';
import { printJson } from '../json.ts';
import { onHost } from '../locate.ts';
import { registerPause } from '../monitor/pause.ts';
import { appliedText, checkText, showText } from '../monitor/view.ts';

interface Options {
  host?: string;
  json?: boolean;
}
/** A check may take a minute by its own line. */
const LONG = { timeoutMs: 120_000 };

const show = (name: string, options: Options): Promise<void> =>
  onHost(name, options, async (client, host) => {
    const view = await client.request(host, 'monitor.show', { name });
    if (options.json) printJson(view);
    else console.log(showText(view, host));
  });

const check = (name: string, options: Options): Promise<void> =>
  onHost(name, options, async (client, host) => {
    const found = await client.request(host, 'monitor.check', { name }, LONG);
    if (options.json) printJson(found);
    else console.log(checkText(found, host));
    if (found.checks.some(({ result }) => result === 'bad')) process.exitCode = 1;
  });

const turn =
  (command: 'monitor.start' | 'monitor.stop') =>
  (name: string, options: Options): Promise<void> =>
    onHost(name, options, async (client, host) => {
      const applied = await client.request(host, command, { name });
      if (options.json) printJson(applied);
      else console.log(appliedText(applied, host));
    });

async function edit(name: string, options: Options): Promise<void> {
  const { editText } = await import('../fw/edit.ts');
  const before = await onHost(name, options, async (client, host) => ({
    host,
    view: await client.request(host, 'monitor.show', { name, text: true }),
  }));
  const { hash, text = '' } = before.view;
  const save = (edited: string) =>
    onHost(name, { host: before.host }, (client, host) =>
      client.request(host, 'monitor.save', { name, text: edited, hash }),
    );
  const saved = await editText(name, text, save, 'monitor.conf');
  if (options.json) printJson(saved ? { ...saved, changed: true } : { name, changed: false });
  else console.log(saved ? appliedText(saved, before.host) : 'Nothing was changed.');
}

/** `vs monitor show|check|edit|start|stop`. */
export function register(program: Command): void {
  const monitor = program
    .command('monitor')
    .description('what is watched of a vserver: limits, daemons, sockets')
    .addHelpText(
      'after',
      '\nExamples:\n  vs monitor show web1\n  vs monitor edit web1\n  vs monitor check web1\n  vs monitor pause --host host1 --for 2h\n\nWhat is checked is in /var/lib/vservers/NAME/monitor.conf on the host; docs/monitoring.md tells how.',
    );
  const verbs = {
    show: ['what is checked of it, how, and what fires', show],
    check: ['run all of its checks once, now; exit code 1 when one is bad. No alert comes of it', check],
    edit: ['change its monitor.conf with $VISUAL or $EDITOR; it is checked, and in force at once', edit],
    start: ['watch it, now and for good', turn('monitor.start')],
    stop: ['do not watch it, now and for good; its alerts end', turn('monitor.stop')],
  } as const;
  registerPause(monitor);
  for (const [word, [description, action]] of Object.entries(verbs))
    monitor
      .command(word)
      .description(description)
      .argument('<name>', 'name of the vserver')
      .option('--host <host>', 'on this host, without asking the master')
      .option('--json', 'for programs')
      .addHelpText('after', `\nExamples:\n  vs monitor ${word} web1`)
      .action(action);
}
