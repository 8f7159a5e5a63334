/** Builders of every topic. `base` is the setting BASE_TOPIC, `vs/1` unless configured. */
export function topicsFor(base: string) {
  const scope = (target: string) => (target === 'master' ? `${base}/master` : `${base}/hosts/${target}`);
  return {
    base,
    status: (target: string) => `${scope(target)}/status`,
    info: (target: string) => `${scope(target)}/info`,
    hostMetrics: (host: string) => `${scope(host)}/metrics`,
    vserverState: (host: string, vserver: string) => `${scope(host)}/vservers/${vserver}/state`,
    vserverMetrics: (host: string, vserver: string) => `${scope(host)}/vservers/${vserver}/metrics`,
    alert: (target: string, subject: string, check: string) => `${scope(target)}/alerts/${subject}/${check}`,
    events: (target: string, service: string) => `${scope(target)}/events/${service}`,
    command: (target: string, service: string, command: string) =>
      `${scope(target)}/commands/${service}/${command}`,
    commands: (target: string) => `${scope(target)}/commands/+/+`,
    reply: (target: string, client: string) => `${scope(target)}/replies/${client}`,
    /** Filters on which a client hears the replies to its own commands. */
    replies: (client: string) => [`${base}/hosts/+/replies/${client}`, `${base}/master/replies/${client}`],
    removed: (uuid: string) => `${base}/master/removed/${uuid}`,
    networks: `${base}/master/networks`,
    sagaState: (id: string) => `${base}/sagas/${id}/state`,
    backupState: (vserver: string) => `${base}/backups/${vserver}/state`,
    sagaProgress: (id: string) => `${base}/sagas/${id}/progress`,
    all: {
      hostStatus: `${base}/hosts/+/status`,
      hostInfo: `${base}/hosts/+/info`,
      vserverState: `${base}/hosts/+/vservers/+/state`,
      events: [`${base}/hosts/+/events/+`, `${base}/master/events/+`],
      sagaState: `${base}/sagas/+/state`,
      alerts: [`${base}/hosts/+/alerts/+/+`, `${base}/master/alerts/+/+`],
    },
  };
}
export type Topics = ReturnType<typeof topicsFor>;

/** Does an MQTT filter (+ and #) match a topic? */
export function matches(filter: string, topic: string): boolean {
  const want = filter.split('/');
  const have = topic.split('/');
  for (const [index, level] of want.entries()) {
    if (level === '#') return true;
    if (have[index] === undefined || (level !== '+' && level !== have[index])) return false;
  }
  return want.length === have.length;
}
