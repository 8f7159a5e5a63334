// config/networks.ts, as the simulated processes see it: a text is parsed once
import { networkOf as real, parseNetworks } from '../../../config/networks.ts';
import type { Network } from '../../../shared/contract/network.ts';
import { readOptional } from '../../../config/lines.ts';
import type { Settings } from '../../../config/settings.ts';

export * from '../../../config/networks.ts';

const parsed = new Map<string, Network[]>();
const found = new Map<string, Network | undefined>();

export async function loadNetworks({ CONFIG_DIR }: Pick<Settings, 'CONFIG_DIR'>): Promise<Network[]> {
  const file = `${CONFIG_DIR}/networks.conf`;
  const text = await readOptional(file);
  let networks = parsed.get(text);
  if (!networks) parsed.set(text, (networks = parseNetworks(text, file)));
  return networks;
}
export function networkOf(networks: Network[], address: string): Network | undefined {
  const key = `${networks.map((one) => one.subnet).join(' ')} ${address}`;
  if (!found.has(key)) found.set(key, real(networks, address));
  return found.get(key);
}
