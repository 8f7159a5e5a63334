import type { Metrics } from '../../shared/contract/host.ts';
import type { Limits } from '../../shared/contract/limits.ts';

/** The figures of the limits that the kernel's own files do not tell; one that is not set has none. */
export function limitFigures(limits: Limits): Metrics {
  const figures = {
    cpu_limit_cores: limits.cpu,
    cpu_weight: limits.cpu_weight,
    swap_limit_bytes: limits.swap_bytes,
    disk_limit_bytes: limits.disk_bytes,
    tmp_limit_bytes: limits.tmp_bytes,
    io_read_limit_rate: limits.io_read_rate, // bytes a second
    io_write_limit_rate: limits.io_write_rate,
    net_rx_limit_rate: limits.net_in_rate,
    net_tx_limit_rate: limits.net_out_rate,
  };
  return Object.fromEntries(Object.entries(figures).filter(([, value]) => value !== undefined)) as Metrics;
}
