/** Files of the repository that lie elsewhere in the package, by their place there. */
export const placed: Record<string, string> = {
  'usr/lib/sysctl.d/30-vs-tools.conf': 'deploy/package/files/sysctl.conf',
  'usr/lib/modules-load.d/vs-tools.conf': 'deploy/package/files/modules-load.conf',
  'lib/systemd/system/lxc-net.service.d/vs-tools.conf': 'deploy/package/files/lxc-net.conf',
  'lib/systemd/system/vs-broker.service': 'deploy/package/files/units/vs-broker.service',
  'lib/systemd/system/vs-master.service': 'deploy/package/files/units/vs-master.service',
  'lib/systemd/system/vs-agent.service': 'deploy/package/files/units/vs-agent.service',
  'lib/systemd/system/vs-vservers.service': 'deploy/package/files/units/vs-vservers.service',
  'usr/share/lintian/overrides/vs-tools': 'deploy/package/files/lintian-overrides',
  // what people write; what vs itself writes (vs-tools.conf, networks.conf) is among the examples alone
  'etc/vs-tools/alerts.conf': 'config/samples/alerts.conf',
  'etc/vs-tools/backup.conf': 'config/samples/backup.conf',
  'etc/vs-tools/create.conf': 'config/samples/create.conf',
  'etc/vs-tools/firewall.conf': 'config/samples/firewall.conf',
  'etc/vs-tools/groups/web.conf': 'config/samples/groups/web.conf',
  'etc/vs-tools/host-monitor.conf': 'config/samples/host-monitor.conf',
  'etc/vs-tools/monitor.conf': 'config/samples/monitor.conf',
  'etc/vs-tools/repositories.conf': 'config/samples/repositories.conf',
  'etc/vs-tools/sets.conf': 'config/samples/sets.conf',
  'etc/vs-tools/slaves.conf': 'config/samples/slaves.conf',
};

/** What of the repository runs: below /usr/lib/vs-tools as it lies here. */
export const programs = [
  'broker',
  'classic',
  'cli',
  'config',
  'deploy/lab',
  'deploy/package/files/stop-rest',
  'package.json',
  'services',
  'shared',
  'vs',
];
/** What people read: below /usr/share/doc/vs-tools. */
export const documents = ['README.md', 'CHANGELOG.md', 'docs'];
