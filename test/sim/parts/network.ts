// services/network/main.ts and services/firewall/main.ts, as the simulated processes see them: who runs with an address answers on it
import { loadNetworks, networkOf } from './networks.ts';
import type { Network } from '../../../shared/contract/network.ts';
import { VsError } from '../../../shared/errors.ts';
import type { Context, Service } from '../../../shared/service.ts';
import { asyncCall, later, managementOf, theWorld } from '../current.ts';

const BOOT_MS = 150;

export function service({ settings, host }: Context): Service {
  const shown = (network: Network) => ({
    network,
    up: true,
    bridge: 'vsbr10',
    vservers: [],
  });
  return {
    name: 'network',
    handlers: {
      'network.list': async () => ({ networks: (await loadNetworks(settings)).map(shown) }),
      'network.match': async ({ address }) => {
        const network = networkOf(await loadNetworks(settings), address);
        if (!network) throw new VsError('refused', `${address} is in no network`);
        return { network };
      },
      'network.up': async () => ({ bridge: 'vsbr10' }),
      'network.down': async () => ({ removed: true }),
      'network.check': ({ address }) =>
        later('probe', theWorld().random.between(5, 60), ({ node }) => {
          return { answers: theWorld().guests.whoAnswers(node, address ?? '', BOOT_MS) ?? null };
        }),
      'network.reach': ({ address }) =>
        later('ping', theWorld().random.between(2, 900), ({ node }) => {
          const other = [...theWorld().machines.values()].find((one) => managementOf(one.name) === address);
          return { answers: other !== undefined && !theWorld().isCut(node.name, other.name) };
        }),
      'network.attach': async ({ name, interfaces }) => ({
        interfaces: interfaces.map((one) => ({ ...one, bridge: 'vsbr10', mtu: 1500 })),
        hook: `/var/lib/vs-tools/rules/${name}/start-host`,
      }),
      'network.readdress': async () => ({ missing: [], changed: false }),
      'network.detach': async () => ({}),
      'network.announce': async () => ({}),
      'network.link': ({ name, up }) =>
        asyncCall('ip', ({ node }) => {
          theWorld().guests.setOffline(node, name, !up);
          return {};
        }),
      'firewall.show': async ({ name }) => ({
        name,
        enabled: false,
        running: true,
        loaded: false,
        changed: false,
        hash: '0'.repeat(64),
        text: '',
        rules: [],
        more: 0,
        names: [],
        faults: [],
      }),
      'firewall.check': async () => ({ file: 'firewall.conf', faults: [] }),
      'firewall.render': async () => ({ rules: '' }),
    },
    start: async () => void host,
  };
}
