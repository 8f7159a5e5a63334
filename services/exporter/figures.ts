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
];

/** Counters begin at 0 at each start of the vserver, also at the start after a move. */
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
];
