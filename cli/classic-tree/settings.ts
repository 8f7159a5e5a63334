import { parseBackups } from '../../config/backup.ts';
import { parseCreate } from '../../config/create.ts';
import { parseMonitor } from '../../config/monitor.ts';
import { parseNetworks } from '../../config/networks.ts';
import { parseSlaves } from '../../config/slaves.ts';
import { parseFirewall } from '../../services/firewall/parse.ts';

/** A file of the classic as it is for today, and what of it could not come along. */
export interface Converted {
  text: string;
  notes: string[];
}

/** Keys of create.conf of 2007, and what they are today; sizes were MB. */
const createKeys: Record<string, { key: string; unit?: string }> = {
  DEFAULT_DOMAIN: { key: 'DOMAIN' },
  DEFAULT_NAMESERVER: { key: 'NAMESERVER' },
  DEFAULT_DISK_LIMIT: { key: 'DISK', unit: 'M' },
  DEFAULT_RSS_LIMIT: { key: 'MEMORY', unit: 'M' },
  DEFAULT_TMPFS_LIMIT: { key: 'TMP', unit: 'M' },
  DEFAULT_PROC_LIMIT: { key: 'PROCS' },
  DEFAULT_CPU_LIMIT: { key: 'CPU' },
};
/** Those that nothing needs any more, with the reason. */
const createGone: Record<string, string> = {
  DEFAULT_DEVICE: 'the device is uplink= in networks.conf',
  DEFAULT_PREFIX: 'the prefix is that of the network',
  DEFAULT_VLAN: 'the VLAN is that of the network',
  MTU: 'write mtu= into networks.conf, or into slaves.conf for one host',
  CONTEXT_METHOD: 'there are no context numbers any more',
  FAKE_OS: 'the kernel says what it is',
  DEFAULT_METHOD: 'TEMPLATE says from what a vserver is created',
  DEFAULT_DISTRO: 'a suite of 2007 has no mirror any more; write TEMPLATE=bookworm',
  DEFAULT_TEMPLATE: 'write TEMPLATE= with a template of today (vs template import)',
  MAIN_MIRROR: 'write TEMPLATE_MIRROR= into vs-tools.conf',
  UPDATE_MIRROR: 'write TEMPLATE_MIRROR= into vs-tools.conf',
};

/** create.conf: KEY=value lines become those of today; comments go. */
export function convertCreate(text: string): Converted {
  const notes: string[] = [];
  const lines = text.split('\n').flatMap((line) => {
    const [, old = '', value = ''] = /^\s*([A-Z_0-9]+)=["']?([^"'#]*?)["']?\s*(?:#.*)?$/.exec(line) ?? [];
    if (!old || !value) return [];
    const known = Object.hasOwn(createKeys, old) ? createKeys[old] : undefined;
    if (known) return [`${known.key}=${value}${known.unit ?? ''}`];
    notes.push(`${old}=${value} is left out: ${createGone[old] ?? 'nobody knows this key'}`);
    return [];
  });
  return { text: lines.map((line) => `${line}\n`).join(''), notes };
}

/** slaves.conf: a limit without a unit was in kB a second. */
export const convertSlaves = (text: string): Converted => ({
  text: text.replaceAll(/(\bbwlimit=\d+)(?![\dkm])/g, '$1k'),
  notes: [],
});
const asItIs = (text: string): Converted => ({ text, notes: [] });

/** Comments began with ## or anything behind a tab. */
const convertFirewall = (text: string): Converted => ({
  text: text.replaceAll(/\t+(?=#)/g, '  '),
  notes: [],
});

/** The files of /etc/vs-tools that come along: how each is converted, and who judges the result. Throws VsError with its faults. */
export const classicFiles: Record<
  string,
  { convert: (text: string) => Converted; check: (text: string, file: string) => unknown }
> = {
  'networks.conf': { convert: asItIs, check: parseNetworks },
  'slaves.conf': { convert: convertSlaves, check: parseSlaves },
  'backup.conf': { convert: asItIs, check: parseBackups },
  'create.conf': { convert: convertCreate, check: parseCreate },
  'firewall.conf': { convert: convertFirewall, check: parseFirewall },
  'monitor.conf': { convert: asItIs, check: parseMonitor },
};
