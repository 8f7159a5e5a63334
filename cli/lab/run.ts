import type { Command } from 'commander';
import type { UpOptions } from '../../deploy/lab/lab.ts';
import { VsError } from '../../shared/errors.ts';
import { duration, count, offset, megabytes, percent, rate, storage, external } from './values.ts';
import { type Named, load, verbOf } from './verb.ts';

/** The verbs that change a lab. */
export function runVerbs(lab: Command): void {
  const verb = verbOf(lab);
  verb(
    'up',
    'bring a lab up: a master, hosts, networks, a router and a prober',
    '  vs lab up\n  vs lab up --name l2 --hosts 3 --storage dir',
  )
    .option('--hosts <n>', 'how many hosts (2 unless told)', count(40))
    .option(
      '--storage <kind>',
      'storage of the hosts: btrfs (unless told), dir, which is ext4, or mixed, by turns',
      storage,
    )
    .option('--networks <n>', 'how many networks for vservers (2 unless told)', count(20))
    .option(
      '--broker <kind>',
      'mosquitto, or nats (three nodes), on the master instead of the embedded broker',
      external,
    )
    .option('--bare', 'nodes without services, to try things in')
    .option('--clocks', 'the services of each node have a clock of their own, for vs lab clock')
    .action(async (options: Named & UpOptions) => {
      const { up } = await load.lab();
      const made = await up({ ...options, say: (line) => console.log(`  ${line}`) });
      console.log(
        `Lab ${made.name} is up. Point the command line at it: eval "$(vs lab env${made.name === 'lab' ? '' : ` --name ${made.name}`})"`,
      );
    });
  verb('down', 'take a lab down and remove all of it', '  vs lab down --name l2').action(
    async (options: Named) => {
      const { down } = await load.lab();
      const there = await down(options.name);
      console.log(
        there ? `Lab ${options.name} is down; nothing of it is left.` : `There is no lab ${options.name}.`,
      );
    },
  );
  verb('kill', 'power cut: every process of a node by SIGKILL; its disk stays', '  vs lab kill host1')
    .argument('<node>', 'host1, host2, ... or master')
    .action(async (name: string, options: Named) => {
      const { nodeOf, requireLab } = await load.model();
      const { killNode } = await load.node();
      const found = await requireLab(options.name);
      await killNode(found, nodeOf(found, name));
    });
  verb('boot', 'boot a node that is off; returns once it is online', '  vs lab boot host1')
    .argument('<node>', 'host1, host2, ... or master')
    .action(async (name: string, options: Named) => {
      const { nodeOf, requireLab } = await load.model();
      const { bootNode } = await load.node();
      const found = await requireLab(options.name);
      await bootNode(found, nodeOf(found, name));
      if (found.bare) return;
      const { ONLINE_SECONDS, awaitOnline } = await load.lab();
      const { status } = await load.status();
      const master = (await status(found)).nodes.find((node) => node.role === 'master');
      if (!master?.running) return; // nobody could hear of it
      if ((await awaitOnline(found, ONLINE_SECONDS, [name])).length > 0)
        process.stderr.write(
          `vs: ${name} is booted, but not online after ${ONLINE_SECONDS} s; its logs lie in /var/lib/vslab-${found.name}/${name}/log\n`,
        );
    });
  verb(
    'cut',
    'cut the management network of a node, wholly or towards one other node',
    '  vs lab cut host1\n  vs lab cut host1 --from master',
  )
    .argument('<node>', 'host1, host2, ... or master')
    .option('--from <node>', 'only the way to this node')
    .action(async (name: string, options: Named & { from?: string }) => {
      const { requireLab } = await load.model();
      const { cut } = await load.wires();
      await cut(await requireLab(options.name), name, options.from);
    });
  verb(
    'slow',
    'make the management link of a node slow, both ways, until --off, kill or down',
    '  vs lab slow host1\n  vs lab slow host1 --delay 50ms --loss 0% --rate 10mbit\n  vs lab slow host1 --off',
  )
    .argument('<node>', 'host1, host2, ... or master')
    .option('--delay <time>', 'what a round trip takes longer', duration, 200)
    .option('--loss <percent>', 'how much is lost, each way', percent, 5)
    .option('--rate <rate>', 'how much passes, each way (no limit unless told)', rate)
    .option('--off', 'the link is as fast as it was')
    .action(
      async (
        name: string,
        options: Named & { delay: number; loss: number; rate?: number; off?: boolean },
      ) => {
        const { nodeOf, requireLab } = await load.model();
        const { slowDown, speedUp } = await load.slow();
        const found = await requireLab(options.name);
        const node = nodeOf(found, name);
        if (options.off) await speedUp(found, node);
        else
          await slowDown(found, node, {
            delayMs: options.delay,
            loss: options.loss,
            kbit: options.rate ?? 0,
          });
      },
    );
  verb(
    'full',
    "fill a host's disk, or that of the master's journals, until --off",
    '  vs lab full host2 --leave 900M\n  vs lab full host2 --off\n  vs lab full master',
  )
    .argument('<node>', 'host1, host2, ... or master')
    .option('--leave <size>', 'how much is left free on a host', megabytes, 1)
    .option('--off', 'there is room again')
    .action(async (name: string, options: Named & { leave: number; off?: boolean }) => {
      const { nodeOf, requireLab } = await load.model();
      const { emptyDisk, fillDisk } = await load.full();
      const found = await requireLab(options.name);
      const node = nodeOf(found, name);
      await (options.off ? emptyDisk(found, node) : fillDisk(found, node, options.leave));
    });
  verb(
    'clock',
    "set the clock of a node's services beside the machine's (a lab that is up with --clocks)",
    '  vs lab clock host1 --by 1h\n  vs lab clock host1 --by -1h\n  vs lab clock host1 --off',
  )
    .argument('<node>', 'host1, host2, ... or master')
    .option('--by <time>', 'how far it is in front; with a minus, behind', offset)
    .option('--off', 'as the machine has it')
    .action(async (name: string, options: Named & { by?: number; off?: boolean }) => {
      if ((options.by === undefined) === (options.off === undefined))
        throw new VsError('usage', 'Say how far: --by 1h, --by -90s, or --off.');
      const { nodeOf, requireLab } = await load.model();
      const { setClock } = await load.clock();
      const found = await requireLab(options.name);
      await setClock(found, nodeOf(found, name), options.by ?? 0);
    });
  verb('heal', 'end every cut', '  vs lab heal').action(async (options: Named) => {
    const { requireLab } = await load.model();
    const { heal } = await load.wires();
    await heal(await requireLab(options.name));
  });
}
