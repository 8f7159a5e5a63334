import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { vethOf } from '../../shared/veth.ts';
import { writeFileIfChanged } from '../../shared/store.ts';

/** An interface of a vserver: its name inside, and the host's end. */
export interface Ends {
  device: string;
  veth: string;
}

/** Remembers beside the rules which interfaces a vserver is to have. */
export const writePorts = (rules: string, ports: Ends[]) =>
  writeFileIfChanged(join(rules, 'ports'), ports.map(({ device, veth }) => `${device} ${veth}\n`).join(''));

/** The interfaces of a vserver as `attach` left them; eth0 alone where it did not remember them yet. */
export async function portsOf(rules: string, name: string): Promise<Ends[]> {
  const text = await readFile(join(rules, 'ports'), 'utf8').catch(() => '');
  const ports = text
    .split('\n')
    .map((line) => line.split(' '))
    .flatMap(([device, veth]) => (device && veth ? [{ device, veth }] : []));
  return ports.length > 0 ? ports : [{ device: 'eth0', veth: vethOf(name) }];
}
