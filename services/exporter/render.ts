import { firstOf } from '../../shared/addresses.ts';
import { topicsFor } from '../../shared/contract/topics.ts';
import { type Families, openFamilies } from './families.ts';
import { hostFigures, vserverFigures } from './figures.ts';
import type { View } from './view.ts';

const hostOf = (topic: string): string => topic.split('/').at(-2) ?? '';

function writeHosts({ gauge, figures }: Families, view: View): void {
  const topics = topicsFor(view.base);
  const online = gauge('vs_host_online', 'Whether the agent of the host is on the bus.', 'host');
  const labels = ['host', 'version', 'kernel', 'runtime', 'storage'];
  const info = gauge('vs_host_info', 'What the host is; always 1.', ...labels);
  const cpus = gauge('vs_host_cpus', 'Processors that the host has.', 'host');
  const write = figures(hostFigures, 'host');
  for (const { topic, value } of view.status) {
    const host = hostOf(topic);
    online({ host }, value.state === 'online');
    write({ host }, view.figures(topics.hostMetrics(host)));
    const about = view.info(topics.info(host));
    if (!about) continue;
    const { version, kernel, runtime, storage } = about;
    info(
      { host, version, kernel, runtime: `${runtime.name} ${runtime.version}`, storage: storage.storage },
      1,
    );
    cpus({ host }, about.cpus);
  }
}

function writeVservers({ gauge, counter, figures }: Families, view: View): void {
  const topics = topicsFor(view.base);
  const online = new Set(
    view.status.filter(({ value }) => value.state === 'online').map(({ topic }) => hostOf(topic)),
  );
  const labels = ['host', 'vserver'];
  const state = gauge(
    'vs_vserver_state',
    'The state of the vserver, in the label; always 1. "unknown" while its host is offline.',
    ...labels,
    'state',
  );
  const running = gauge('vs_vserver_running', 'Whether the vserver runs; only of online hosts.', ...labels);
  const enabled = gauge('vs_vserver_enabled', 'Whether the vserver starts at boot.', ...labels);
  const epoch = gauge('vs_vserver_epoch', 'The number of the owner in the row of its owners.', ...labels);
  const info = gauge('vs_vserver_info', 'Where it is reached; always 1.', ...labels, 'network', 'address');
  const write = figures(vserverFigures, ...labels);
  const rules = {
    packets: counter(
      'vs_vserver_firewall_rule_packets_total',
      'Packets that a rule matched.',
      ...labels,
      'rule',
    ),
    bytes: counter(
      'vs_vserver_firewall_rule_bytes_total',
      'Bytes of the packets that a rule matched.',
      ...labels,
      'rule',
    ),
  };
  for (const { value: one } of view.vservers) {
    if (one.epoch === 0) continue; // files of it; another host owns it
    const of = { host: one.host, vserver: one.name };
    const known = online.has(one.host);
    state({ ...of, state: known ? one.state : 'unknown' }, 1);
    if (known) running(of, one.state === 'running');
    enabled(of, one.enabled);
    epoch(of, one.epoch);
    info({ ...of, network: one.network, address: firstOf(one) }, 1);
    if (!known || one.state === 'stopped') continue;
    const metrics = view.figures(topics.vserverMetrics(one.host, one.name));
    write(of, metrics);
    for (const [key, value] of Object.entries(metrics ?? {})) {
      const [, rule = '', what] = /^fw_rule_(\w+)_(packets|bytes)_total$/.exec(key) ?? [];
      if (what && typeof value === 'number') rules[what as 'packets' | 'bytes']({ ...of, rule }, value);
    }
  }
}

function writeAlerts({ gauge }: Families, view: View): void {
  const labels = ['target', 'subject', 'check', 'severity'];
  const alert = gauge(
    'vs_alert',
    'What is wrong now; always 1. The target is a host or "master".',
    ...labels,
  );
  for (const { topic, value } of view.alerts) {
    const [target = '', , subject = '', check = ''] = topic.split('/').slice(-4);
    alert({ target, subject, check, severity: value.severity }, 1);
  }
}

function writeSagas({ gauge }: Families, view: View): void {
  const sagas = gauge('vs_sagas', 'Sagas that are kept, by how they stand.', 'kind', 'result');
  const counts = new Map<string, { kind: string; result: string; number: number }>();
  const downtime = gauge('vs_move_downtime_seconds', 'How long the last move had it down.', 'vserver');
  const inOrder = view.sagas.map(({ value }) => value).sort((a, b) => a.started - b.started);
  for (const { kind, result, vserver, downtimeMs } of inOrder) {
    const key = `${kind} ${result}`;
    counts.set(key, { kind, result, number: (counts.get(key)?.number ?? 0) + 1 });
    if (kind === 'move' && downtimeMs !== undefined) downtime({ vserver }, downtimeMs / 1000);
  }
  for (const { number, ...labels } of counts.values()) sagas(labels, number);
}

/** The pool as Prometheus reads it. Made anew at each scrape, so that nothing stays of what is gone or has moved. */
export async function render(view: View): Promise<{ type: string; text: string }> {
  const families = openFamilies();
  families.gauge('vs_exporter_connected', 'Whether the exporter is on the bus.')({}, view.connected);
  families.gauge('vs_exporter_left_out', 'Messages of more topics than the exporter takes.')(
    {},
    view.leftOut,
  );
  for (const write of [writeHosts, writeVservers, writeAlerts, writeSagas]) write(families, view);
  return families.write();
}
