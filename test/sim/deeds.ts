import type { Guests } from './guests.ts';
import type { Deed } from './scenario.ts';
import type { Core, Machine } from './world.ts';

/** A host that has its power again is left so long before the pool counts as mended (ms). */
const BOOT_MS = 3000;
/** What a person asks for, or does by hand, may change something for so long (ms). */
const ASK_MS = 1000;

/** What happens in a scenario: faults of processes, machines and ways, and people. */
export function createDeeds(world: Core, guests: Guests) {
  const { loop, random, machine, say } = world;
  let asked = 0;
  /** When the last of what happens has ended (ms). */
  let busyUntil = 0;
  let handled = false;
  /** Vservers of whose host a person has said that it is dead. */
  const saidDead = new Set<string>();
  const busy = (ms: number) => void (busyUntil = Math.max(busyUntil, loop.now() + ms));

  function kill(node: Machine, process: string, ms: number): void {
    if (!node.powered) return;
    busy(ms);
    say(node.name, `${process} is killed, back in ${ms} ms`);
    if (process === 'broker') world.broker.stop(false);
    else {
      const life = node.lives.find((one) => one.process === process);
      if (!life) return;
      world.end(life, false);
    }
    const { boot } = node;
    loop.after(ms, undefined, () => {
      if (node.boot === boot && node.powered) world.start(node, process);
    });
  }
  function power(node: Machine, ms: number): void {
    if (!node.powered) return;
    busy(ms + BOOT_MS);
    say(node.name, `its power is cut, back in ${ms} ms`);
    node.powered = false;
    node.boot++;
    world.changed();
    for (const life of node.lives.slice()) world.end(life, true);
    if (node.name === 'master') world.broker.stop(true);
    guests.lose(node);
    node.disk.cut(random);
    loop.after(ms, undefined, () => {
      node.powered = true;
      if (node.oldDisk) {
        node.disk = node.oldDisk;
        delete node.oldDisk;
        world.changed();
      }
      say(node.name, 'boots');
      if (node.name === 'master') world.start(node, 'broker');
      world.start(node, node.name === 'master' ? 'master' : 'agent');
    });
  }
  function cut(a: string, b: string, ms: number): void {
    busy(ms);
    say(a, `is cut off from ${b} for ${ms} ms`);
    const until = loop.now() + ms;
    world.cut(a, b, until);
    loop.after(ms, undefined, () => world.heal(a, b, until));
  }
  function ask(target: string, command: string, args: object): void {
    if (!world.broker.up) return void loop.after(500, undefined, () => ask(target, command, args));
    const [service = '', verb = ''] = command.split('.');
    if (command === 'orchestrator.recover') saidDead.add((args as { name: string }).name);
    const scope = target === 'master' ? 'vs/1/master' : `vs/1/hosts/${target}`;
    const id = `person-${++asked}`;
    say('person', `${command}@${target} ${JSON.stringify(args)}`);
    world.broker.publish(
      `${scope}/commands/${service}/${verb}`,
      JSON.stringify({ id, replyTo: `${scope}/replies/person`, issuer: 'operator', args }),
    );
  }
  function hand(node: Machine, verb: string, name: string): void {
    handled = true;
    if (!node.powered) return;
    busy(ASK_MS); // nobody announces it: the host has to look
    say(node.name, `a person types lxc-${verb} ${name}`);
    if (verb === 'start') guests.start(node, name, true);
    else if (verb === 'unfreeze') guests.setFrozen(node, name, false, true);
    else guests.stop(node, name);
  }
  /** Aborts what runs, or resumes what is stuck. */
  function askSagas(what: 'abort' | 'resume'): void {
    const want = what === 'abort' ? '"result":"running"' : '"result":"stuck"';
    for (const [topic, text] of world.broker.sagas)
      if (text.includes(want)) ask('master', `orchestrator.${what}`, { id: topic.split('/')[3] });
  }
  function happen(deed: Deed): void {
    switch (deed.what) {
      case 'kill':
        return kill(machine(deed.node), deed.process, deed.ms);
      case 'power':
        return power(machine(deed.node), deed.ms);
      case 'cut':
        return cut(deed.a, deed.b, deed.ms);
      case 'olddisk': {
        const node = machine(deed.node);
        node.oldDisk = node.disk.clone();
        loop.after(deed.ms, undefined, () => power(node, BOOT_MS));
        return;
      }
      case 'clock':
        say(deed.node, `its clock jumps by ${deed.ms} ms`);
        machine(deed.node).skew += deed.ms;
        return;
      case 'full':
        say(deed.node, `its disk is full for ${deed.ms} ms`);
        busy(deed.ms);
        machine(deed.node).full = true;
        loop.after(deed.ms, undefined, () => (machine(deed.node).full = false));
        return;
      case 'nostart':
      case 'eio':
        machine(deed.node)[deed.what] += deed.times;
        return;
      case 'hand':
        return hand(machine(deed.node), deed.verb, deed.name);
      case 'ask':
        busy(ASK_MS);
        return ask(deed.target, deed.command, deed.args);
      case 'abort':
      case 'resume':
        return askSagas(deed.what);
    }
  }
  return {
    saidDead,
    happen,
    ask,
    busy,
    get busyUntil() {
      return busyUntil;
    },
    /** A person did something past the agents. */
    get handled() {
      return handled;
    },
  };
}
export type Deeds = ReturnType<typeof createDeeds>;
