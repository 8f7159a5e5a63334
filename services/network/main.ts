import { readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { networkOf, subnetsOf } from '../../config/networks.ts';
import type { Attachment, Network } from '../../shared/contract/network.ts';
import { VsError } from '../../shared/errors.ts';
import { pathsFor } from '../../shared/paths.ts';
import { run } from '../../shared/run.ts';
import type { Context, Service } from '../../shared/service.ts';
import { createTurns } from '../../shared/turns.ts';
import { vethOf } from '../../shared/veth.ts';
import { clearTemporaries, writeFileIfChanged } from '../../shared/store.ts';
import { announceAgain } from './announce.ts';
import { openArriving } from './arriving.ts';
import { bridgeDown, bridgeUp } from './bridges.ts';
import { openChanges } from './changes.ts';
import { answerPings, largestThrough } from './echo.ts';
import { examine } from './examine.ts';
import { startHook } from './hook.ts';
import { type Place, type Port, announceBatch, batch6, readdress } from './inside.ts';
import { ip, links } from './ip.ts';
import { openKept } from './kept.ts';
import { bridgeOf, usersOf } from './plan.ts';
import { portsOf, writePorts } from './ports.ts';
import { clearProbes, whoAnswers } from './probe.ts';
import { reaches } from './reach.ts';
import { vethRules } from './rules.ts';
import { shapeMissing, shapeNow, writeShape } from './shape.ts';

/** The network service: bridges and VLANs of this host, and the veth, rules and addresses of its vservers. */
export function service(context: Context): Service {
  const { settings, log } = context;
  const paths = pathsFor(settings);
  const turns = createTurns();
  const kept = openKept(context);
  const arriving = openArriving();
  const changes = openChanges(context, kept, arriving, turns);
  const inTurn = <T>(work: () => Promise<T>) => turns('bridges', work); // they change one at a time

  async function find(name: string): Promise<Network> {
    const networks = await kept.networks();
    const one = networks.find((network) => network.name === name);
    if (!one)
      throw new VsError(
        'not-found',
        `${context.host} has no network ${name}; it has ${networks.map((network) => network.name).join(', ') || 'none'}`,
      );
    arriving.touch(name);
    return one;
  }
  async function show(network: Network) {
    const now = await links();
    const ports = new Set(usersOf(network, now));
    const names = await readdir(settings.VSERVER_DIR).catch(() => []);
    return {
      network,
      up: now.has(bridgeOf(network)),
      bridge: bridgeOf(network),
      vservers: await onPorts(names, ports),
    };
  }
  async function onPorts(names: string[], ports: Set<string>): Promise<string[]> {
    if (ports.size === 0) return [];
    const own = await Promise.all(names.map((name) => portsOf(paths.rules(name), name)));
    return names.filter((_name, at) => own[at]?.some(({ veth }) => ports.has(veth)));
  }
  /** Where each interface of a vserver is. */
  const placesOf = (ports: Port[]): Promise<Place[]> =>
    Promise.all(ports.map(async (port) => ({ port, network: await find(port.network) })));

  return {
    name: 'network',
    handlers: {
      'network.list': async () => ({
        networks: await Promise.all((await kept.networks()).map(show)),
        taken: await changes.state(),
      }),
      'network.taken': ({ version }) => changes.taken(version),
      'network.examine': async (args) => examine(context, await find(args.network)),
      'network.echo': ({ network, seconds }) =>
        inTurn(async () => answerPings(await bridgeUp(await find(network), settings.MTU), seconds)),
      'network.probe': async ({ network, address, mtu }) => {
        const bridge = await inTurn(async () => bridgeUp(await find(network), settings.MTU));
        return { passes: await largestThrough(bridge, address, mtu) };
      },
      'network.show': async (args) => show(await find(args.network)),
      'network.match': async (args) => {
        const networks = await kept.networks();
        const network = networkOf(networks, args.address);
        if (network) return { network };
        throw new VsError(
          'refused',
          `${args.address} is in no network; there are ${networks.map((one) => `${one.name} ${subnetsOf(one).join(' ')}`).join(', ') || 'none'}`,
        );
      },
      'network.up': async (args) =>
        inTurn(async () => {
          const bridge = await bridgeUp(await find(args.network), settings.MTU);
          arriving.keep(args.network, true);
          return { bridge };
        }),
      'network.down': async (args) =>
        inTurn(async () => {
          const network = await find(args.network);
          arriving.keep(args.network, false);
          const vservers = (await changes.usersNow())(network);
          return { removed: vservers.length === 0 && (await bridgeDown(network)), vservers };
        }),
      'network.check': (args) =>
        // the answer goes out before the probe is cleared away: a move waits for it while the vserver is down
        new Promise((resolve, reject) => {
          inTurn(async () => {
            const bridge = await bridgeUp(await find(args.network), settings.MTU);
            await whoAnswers(bridge, args, resolve);
          }).catch(reject);
        }),
      'network.reach': async ({ address }) => ({ answers: await reaches(address) }),
      'network.attach': async (args): Promise<Attachment> => {
        const places = await placesOf(args.interfaces);
        arriving.add(
          args.name,
          places.map(({ network }) => network.name),
        );
        for (const { network } of places) await inTurn(() => bridgeUp(network, settings.MTU));
        const rules = paths.rules(args.name);
        const { rules: guest } = await context.bus.request(context.host, 'firewall.render', {
          name: args.name,
          ...(args.staged ? { staged: args.staged } : {}),
        });
        await writeFileIfChanged(`${rules}/guest.nft`, guest);
        await writeFileIfChanged(`${rules}/host.nft`, args.interfaces.map(vethRules).join(''));
        await writeFileIfChanged(`${rules}/announce.ip`, announceBatch(places));
        await writeFileIfChanged(`${rules}/routes6.ip`, batch6(places));
        await writeShape(rules, args.interfaces, { in: args.in_rate, out: args.out_rate });
        await writePorts(rules, args.interfaces);
        const plugged = places.map(({ port, network }) => ({ ...port, bridge: bridgeOf(network) }));
        await writeFileIfChanged(`${rules}/start-host`, startHook(rules, plugged), 0o700);
        const first = places[0]?.network;
        return {
          interfaces: places.map(({ port, network }) => ({
            ...port,
            bridge: bridgeOf(network),
            mtu: network.mtu ?? settings.MTU,
          })),
          gateway: first?.gateway,
          gateway6: first?.gateway6,
          nameserver: first?.nameserver,
          domain: first?.domain,
          hook: `${rules}/start-host`,
        };
      },
      'network.readdress': async ({ pid, interfaces }) => {
        const places = await placesOf(interfaces);
        const now = await links();
        for (const { port } of places)
          if (now.has(port.veth)) await run(['nft', '-f', '-'], { input: vethRules(port) });
        return readdress(pid, places);
      },
      'network.detach': async (args) => {
        arriving.drop(args.name);
        await rm(paths.rules(args.name), { recursive: true, force: true });
        return {};
      },
      'network.link': async (args) => {
        const [first, ...further] = await portsOf(paths.rules(args.name), args.name);
        const now = await links();
        for (const { veth } of further)
          if (now.has(veth)) await ip('link', 'set', veth, args.up ? 'up' : 'down');
        const { veth } = first ?? { veth: vethOf(args.name) };
        if (args.up || now.has(veth)) await ip('link', 'set', veth, args.up ? 'up' : 'down');
        return {};
      },
      'network.shape': async ({ name, pid, in_rate, out_rate }) => {
        const rates = { in: in_rate, out: out_rate };
        const missing = await shapeMissing();
        if (missing && (in_rate || out_rate))
          throw new VsError('refused', `${context.host} cannot slow down the network of ${name}: ${missing}`);
        const ports = await portsOf(paths.rules(name), name);
        if (!missing) await shapeNow(ports, pid, rates);
        await writeShape(paths.rules(name), ports, rates);
        return {};
      },
      'network.shaping': async () => ({ missing: await shapeMissing() }),
      'network.announce': async (args) => {
        arriving.drop(args.name); // it runs
        announceAgain(args.pid, args.interfaces, log);
        return {};
      },
    },
    async start() {
      await clearProbes();
      const rules = dirname(paths.rules('any'));
      for (const name of await readdir(rules).catch(() => [])) await clearTemporaries(join(rules, name));
      changes.start();
    },
    async stop() {
      changes.stop();
    },
  };
}
