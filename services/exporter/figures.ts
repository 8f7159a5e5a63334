/** One figure of `.../metrics` as Prometheus has it: base units, counters end in `_total`. */
export interface Figure {
  /** The key in the flat object of the bus. */
  key: string;
  name: string;
  help: string;
  type: 'gauge' | 'counter';
  /** Times this: percent become a ratio. */
  factor?: number;
}

const gauge = (key: string, name: string, help: string, factor?: number): Figure => ({
  key,
  name,
  help,
  type: 'gauge',
  ...(factor === undefined ? {} : { factor }),
});
const counter = (key: string, name: string, help: string): Figure => ({ key, name, help, type: 'counter' });

/** Alike for hosts and vservers; `of`: which of the two. */
const both = (of: 'host' | 'vserver'): Figure[] => [
  gauge('swap_bytes', `vs_${of}_swap_bytes`, `Swap of the ${of} in use`),
  ...(['cpu', 'mem', 'io'] as const).flatMap((what) =>
    (['some', 'full'] as const).map((share) =>
      gauge(
        `psi_${what}_${share}_pct`,
        `vs_${of}_pressure_${what}_${share}_ratio`,
        `Share of the last 10 s in which ${share === 'some' ? 'some' : 'all'} processes of the ${of} waited for ${what}, 0 to 1`,
        0.01,
      ),
    ),
  ),
  ...(['rx', 'tx'] as const).flatMap((way) =>
    (['packets', 'errors', 'drops'] as const).map((what) =>
      counter(
        `net_${way}_${what}_total`,
        `vs_${of}_network_${way === 'rx' ? 'receive' : 'transmit'}_${what}_total`,
        `Network ${what} of the ${of}, ${way === 'rx' ? 'in' : 'out'}`,
      ),
    ),
  ),
];

export const hostFigures: Figure[] = [
  gauge('cpu_pct', 'vs_host_cpu_ratio', 'Share of all processors of the host that is in use, 0 to 1', 0.01),
  gauge('mem_bytes', 'vs_host_memory_bytes', 'Memory of the host in use, without what can be had at once'),
  gauge('mem_limit_bytes', 'vs_host_memory_limit_bytes', 'Memory that the host has'),
  gauge('load_1', 'vs_host_load1', 'Load average of the host over 1 minute'),
  gauge('load_5', 'vs_host_load5', 'Load average of the host over 5 minutes'),
  gauge('load_15', 'vs_host_load15', 'Load average of the host over 15 minutes'),
  gauge('disk_bytes', 'vs_host_disk_bytes', 'Used bytes of the file system of the vservers'),
  gauge('disk_free_bytes', 'vs_host_disk_free_bytes', 'Free bytes of the file system of the vservers'),
  gauge('disk_limit_bytes', 'vs_host_disk_limit_bytes', 'Size of the file system of the vservers'),
  gauge('uptime_seconds', 'vs_host_uptime_seconds', 'Seconds since the boot of the host'),
  gauge('vservers_running', 'vs_host_vservers_running', 'Vservers that run on the host'),
  gauge('vservers_hosted', 'vs_host_vservers', 'Vservers that the host has'),
  gauge('procs', 'vs_host_processes', 'Processes of the host, vservers included'),
  counter(
    'io_read_bytes',
    'vs_host_io_read_bytes_total',
    'Bytes read from the disks of the host since its boot',
  ),
  counter('io_write_bytes', 'vs_host_io_write_bytes_total', 'Bytes written to them since its boot'),
  counter(
    'net_rx_bytes',
    'vs_host_network_receive_bytes_total',
    'Bytes that the host received since its boot',
  ),
  counter('net_tx_bytes', 'vs_host_network_transmit_bytes_total', 'Bytes that the host sent since its boot'),
  ...both('host'),
];

/** Counters begin at 0 at each start of the vserver, also at the start after a move; those of its firewall go on. */
export const vserverFigures: Figure[] = [
  gauge('cpu_pct', 'vs_vserver_cpu_ratio', 'Processors that the vserver uses; 1 is one whole core', 0.01),
  counter(
    'cpu_seconds_total',
    'vs_vserver_cpu_seconds_total',
    'Processor time of the vserver since its start',
  ),
  gauge('cpu_limit_cores', 'vs_vserver_cpu_limit_cores', 'Cores that the vserver may use at most'),
  gauge('mem_bytes', 'vs_vserver_memory_bytes', 'Memory of the vserver in use, without idle file cache'),
  gauge('mem_limit_bytes', 'vs_vserver_memory_limit_bytes', 'Memory that the vserver may use at most'),
  counter('mem_hits_total', 'vs_vserver_memory_hits_total', 'How often the vserver met its memory limit'),
  gauge('procs', 'vs_vserver_processes', 'Processes and threads of the vserver'),
  gauge('procs_limit', 'vs_vserver_processes_limit', 'Processes that the vserver may have at most'),
  counter(
    'procs_hits_total',
    'vs_vserver_processes_hits_total',
    'How often the vserver met its process limit',
  ),
  counter('io_read_bytes', 'vs_vserver_io_read_bytes_total', 'Bytes read from disks since the start'),
  counter('io_write_bytes', 'vs_vserver_io_write_bytes_total', 'Bytes written to disks since the start'),
  counter(
    'net_rx_bytes',
    'vs_vserver_network_receive_bytes_total',
    'Bytes that the vserver received since the start',
  ),
  counter(
    'net_tx_bytes',
    'vs_vserver_network_transmit_bytes_total',
    'Bytes that the vserver sent since the start',
  ),
  gauge('disk_bytes', 'vs_vserver_disk_bytes', 'Bytes of the files of the vserver'),
  gauge('uptime_seconds', 'vs_vserver_uptime_seconds', 'Seconds since the start of the vserver'),
  gauge('load_1', 'vs_vserver_load1', 'Load average of the vserver over 1 minute'),
  gauge('tmp_bytes', 'vs_vserver_tmp_bytes', 'Used bytes of /tmp, where that is a tmpfs'),
  counter('mem_oom_kills_total', 'vs_vserver_oom_kills_total', 'Processes killed for want of memory'),
  counter(
    'cpu_throttled_seconds_total',
    'vs_vserver_cpu_throttled_seconds_total',
    'Time for which the limit held it back',
  ),
  counter(
    'fw_accepted_packets_total',
    'vs_vserver_firewall_accepted_packets_total',
    'Packets that it let pass',
  ),
  counter('fw_denied_packets_total', 'vs_vserver_firewall_denied_packets_total', 'Packets that it denied'),
  counter(
    'fw_denied_bytes_total',
    'vs_vserver_firewall_denied_bytes_total',
    'Bytes of the packets that it denied',
  ),
  ...both('vserver'),
];
