import type { Command } from 'commander';
import type { SnapshotPlan } from '../../shared/contract/kept.ts';
import { addressesOf } from '../../shared/interfaces.ts';
import { withClient } from '../client.ts';
import { hostOf } from '../locate.ts';
import { checkHost, checkName } from '../names.ts';
import { everyText } from '../snapshot/names.ts';
import { binary, moment } from '../table.ts';

/** How many there are, and how often they are made; where they are listed. */
function snapshotsOf(name: string, count = 0, plan?: SnapshotPlan): string | undefined {
  if (count === 0 && !plan) return undefined;
  return `${count}${plan ? `, ${everyText(plan.every)}` : ''}: vs snapshot list ${name}`;
}

/** `vs show NAME`. */
export function register(program: Command): void {
  program
    .command('show')
    .description('one vserver: state, configuration, ownership')
    .argument('<name>', 'name of the vserver')
    .option('--host <host>', 'as this host sees it')
    .option('--json', 'for programs')
    .addHelpText('after', '\nExamples:\n  vs show web1\n  vs show web1 --json')
    .action(async (name: string, options: { host?: string; json?: boolean }) => {
      checkName(name);
      if (options.host !== undefined) checkHost(options.host);
      const found = await withClient(async (client) =>
        client.request(await hostOf(client, name, options.host), 'host-agent.show', { name }),
      );
      if (options.json) return console.log(JSON.stringify(found, null, 2));
      const { state, config } = found;
      const facts: [string, string | undefined][] = [
        ['vserver', name],
        ['host', state.host],
        ['state', `${state.state}${state.since ? ` since ${moment(state.since)}` : ''}`],
        ['enabled', state.enabled ? 'yes' : 'no'],
        [
          'address',
          [config.address && `${config.address}/${config.prefix}`, config.address6]
            .filter(Boolean)
            .join(', '),
        ],
        ['network', `${config.network}, ${config.mac}`],
        ['also', addressesOf({ more: config.more }).join(', ') || undefined],
        [
          'memory',
          config.limits.memory_bytes === undefined ? 'unlimited' : binary(config.limits.memory_bytes),
        ],
        ['cpu', config.limits.cpu === undefined ? 'unlimited' : `${config.limits.cpu} cores`],
        ['processes', String(config.limits.procs ?? 'unlimited')],
        ['user ids', config.idmap === 0 ? 'privileged: those of the host' : undefined],
        ['epoch', String(state.epoch)],
        [
          'source',
          `${config.source}${config.template ? `, template ${config.template.name} ${config.template.sha256.slice(0, 12)}` : ''}`,
        ],
        ['created', moment(config.created)],
        ['snapshots', snapshotsOf(name, state.snapshots, config.snapshotPlan)],
        ['saga', state.saga],
        ['error', state.error],
      ];
      for (const [key, value] of facts) if (value) console.log(`${key.padEnd(10)} ${value}`);
    });
}
