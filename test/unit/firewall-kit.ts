import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Sources, parseFirewall } from '../../services/firewall/parse.ts';
import type { Firewall } from '../../services/firewall/rule.ts';

const folder = new URL('../fixtures/firewall', import.meta.url).pathname;
const samples = new URL('../../config/samples', import.meta.url).pathname;
const textOf = (file: string) => ({ text: readFileSync(file, 'utf8'), file });

/** The files that a firewall.conf may point to, from a folder with sets.conf and groups. */
export const sourcesOf = (at: string): Sources => ({
  sets: textOf(join(at, 'sets.conf')),
  group: (name) => {
    const groups = join(at, 'groups');
    return readdirSync(groups).includes(`${name}.conf`) ? textOf(join(groups, `${name}.conf`)) : undefined;
  },
  services: 'ssh 22/tcp\nsip\t5060/udp # phones\nssh2 22/tcp secsh\nbroken\n',
});
export const extended = sourcesOf(join(folder, 'extended'));

const without = (line: string) => line.replace(/^#(?=[a-z])/, '');
/** Every sample of a firewall.conf: name, text, and what it points to. */
export const everySample: { name: string; text: string; sources: Sources }[] = [
  ...readdirSync(join(folder, 'classic')).map((name) => ({
    name: `classic/${name}`,
    text: readFileSync(join(folder, 'classic', name), 'utf8'),
    sources: {},
  })),
  ...['all.conf', 'one.conf'].map((name) => ({
    name: `extended/${name}`,
    text: readFileSync(join(folder, 'extended', name), 'utf8'),
    sources: extended,
  })),
  ...[(text: string) => text, (text: string) => text.split('\n').map(without).join('\n')].map(
    (change, index) => ({
      name: index === 0 ? 'config/samples/firewall.conf' : 'config/samples/firewall.conf, all of it in force',
      text: change(readFileSync(join(samples, 'firewall.conf'), 'utf8')),
      sources: {
        ...sourcesOf(samples),
        sets: { text: change(readFileSync(join(samples, 'sets.conf'), 'utf8')), file: 'sets.conf' },
      },
    }),
  ),
];

/** One or more lines after `enable`, so that the first stands in line 2. */
export const rulesOf = (lines: string, sources: Sources = {}): Firewall =>
  parseFirewall(`enable\n${lines}`, 'f', sources);

/** The faults of a text; none when it parses. Anything but a usage error is thrown on. */
export function faultsOf(text: string, sources: Sources = {}): string[] {
  try {
    parseFirewall(text, 'f', sources);
    return [];
  } catch (error) {
    if ((error as { code?: string }).code !== 'usage') throw error;
    return (error as Error).message.split('\n');
  }
}
export const faultShape = /^[^\n:]+:[1-9]\d*:[1-9]\d*: found [^\n]+, expected [^\n]+$/;
