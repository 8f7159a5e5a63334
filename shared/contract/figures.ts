/** What a figure of the metrics is in: how people read it (cli/figures.ts). */
export type Unit = 'percent' | 'bytes' | 'seconds' | 'count' | 'load' | 'cores';

export interface Figure {
  key: string;
  unit: Unit;
  /** It counts up from the start of the vserver or the boot of the host: kept and shown as a rate, per second. */
  counter?: true;
  /** For people, of one or two words. */
  title: string;
}
const gauge = (key: string, unit: Unit, title: string): Figure => ({ key, unit, title });
const counter = (key: string, unit: Unit, title: string): Figure => ({ key, unit, title, counter: true });

/** What the master keeps over time, of vservers and hosts alike; its size depends on how many they are (docs/stats.md). */
export const keptFigures: Figure[] = [
  gauge('cpu_pct', 'percent', 'cpu'),
  gauge('load_1', 'load', 'load'),
  gauge('mem_bytes', 'bytes', 'memory'),
  gauge('mem_pct', 'percent', 'memory of limit'),
  gauge('swap_bytes', 'bytes', 'swap'),
  counter('mem_hits_total', 'count', 'memory hits'),
  counter('mem_oom_kills_total', 'count', 'out of memory'),
  gauge('procs', 'count', 'processes'),
  counter('procs_hits_total', 'count', 'process hits'),
  gauge('disk_bytes', 'bytes', 'disk'),
  gauge('tmp_bytes', 'bytes', 'tmp'),
  counter('io_read_bytes', 'bytes', 'io read'),
  counter('io_write_bytes', 'bytes', 'io write'),
  counter('net_rx_bytes', 'bytes', 'net in'),
  counter('net_tx_bytes', 'bytes', 'net out'),
  counter('net_rx_packets_total', 'count', 'packets in'),
  counter('net_tx_packets_total', 'count', 'packets out'),
  counter('net_rx_drops_total', 'count', 'drops in'),
  counter('net_tx_drops_total', 'count', 'drops out'),
  counter('net_rx_errors_total', 'count', 'errors in'),
  counter('net_tx_errors_total', 'count', 'errors out'),
  gauge('psi_cpu_some_pct', 'percent', 'cpu pressure'),
  gauge('psi_mem_some_pct', 'percent', 'memory pressure'),
  gauge('psi_mem_full_pct', 'percent', 'memory stall'),
  gauge('psi_io_some_pct', 'percent', 'io pressure'),
  gauge('psi_io_full_pct', 'percent', 'io stall'),
  gauge('cpu_iowait_pct', 'percent', 'io wait'),
  counter('fw_accepted_packets_total', 'count', 'firewall let pass'),
  counter('fw_denied_packets_total', 'count', 'firewall denied'),
  counter('fw_denied_bytes_total', 'bytes', 'firewall denied, bytes'),
  gauge('vservers_running', 'count', 'vservers'),
];

const byKey = new Map(keptFigures.map((one) => [one.key, one]));
/** Counters, also those that only the newest value is known of. */
const counts = /_total$|^(?:io|net|inet)_(?:\w+_)?(?:read|write|rx|tx)_bytes$/;
export const isCounter = (key: string): boolean => byKey.get(key)?.counter ?? counts.test(key);

/** The unit of any key, also of one that is not in the table: the design's words for keys say it. */
export function unitOf(key: string): Unit {
  const known = byKey.get(key)?.unit;
  if (known) return known;
  if (/_bytes(?:_total)?$/.test(key)) return 'bytes';
  if (key.endsWith('_pct')) return 'percent';
  if (/_seconds(?:_total)?$/.test(key)) return 'seconds';
  if (key.startsWith('load_')) return 'load';
  return key.endsWith('_cores') ? 'cores' : 'count';
}
export const titleOf = (key: string): string => byKey.get(key)?.title ?? key;
