// What a person can do about what the monitor finds; NAME is the vserver, HOST its host.

const memory =
  'See below what takes it: end or mend that (vs enter NAME), or give it more: vs limit NAME --memory SIZE';
const processes =
  'See below what runs so often, and end that: vs enter NAME. Does it need so many: vs limit NAME --procs NUMBER';
const cpu = 'See below what takes it: vs enter NAME. Does it need more: vs limit NAME --cpu CORES';
const disk =
  'Look what grows (vs enter NAME, then du -x /) and remove it, or give it more: vs limit NAME --disk SIZE';
const io =
  'See below who may do that, and look at its log: vs logs NAME. A limit: vs limit NAME --io-read, --io-write';

/** By check of a vserver. */
export const ofVserver: Record<string, string> = {
  memory,
  'memory-hits': memory,
  'oom-kills': `The kernel has ended processes of it: look whether its daemons still run. ${memory}`,
  swap: memory,
  'psi-memory': memory,
  processes,
  'process-hits': processes,
  cpu,
  load: cpu,
  'psi-cpu': cpu,
  disk,
  'disk-growth': disk,
  tmp: 'Remove what is not needed in /tmp (vs enter NAME), or make it bigger: vs limit NAME --tmp SIZE',
  'io-read': io,
  'io-write': io,
  'psi-io': io,
  daemon:
    'Look at it inside: vs enter NAME, vs logs NAME, vs monitor check NAME. What was tried, and when, is said above; when it is well again this ends',
  crashed:
    'See why it ended: vs logs NAME, vs show NAME. Start it again: vs start NAME; shall it stay down: vs stop NAME, which ends this',
  sockets:
    'Was that you? Then there is nothing to do: after a while it is the usual. If not, see below who listens, and look there: vs enter NAME',
  certificates:
    'Renew what is named (vs enter NAME), and look why nobody did: certbot renew, or whoever made it',
  upgrades: 'Upgrade it: vs pkg NAME upgrade; a snapshot first: vs snapshot create NAME',
  'security-upgrades': 'Upgrade it soon: vs pkg NAME upgrade; a snapshot first: vs snapshot create NAME',
  'package-age': 'Upgrade it: vs pkg NAME upgrade; a snapshot first: vs snapshot create NAME',
  monitor: 'Mend the named line: vs monitor edit NAME. What was in force before stays so until then',
};

const full = 'Make room: vs trash list, vs trash empty, old snapshots; or move a vserver away: vs move';
const busy = 'See who it is: vs top --host HOST. Move a vserver away (vs move), or all: vs evacuate HOST';
/** By check of a host. */
export const ofHost: Record<string, string> = {
  pressure:
    'Move vservers away or limit them: vs top --host HOST, vs limit, vs move; what is held back is let go by itself',
  memory:
    'See who takes it: vs top --host HOST --sort mem. Move a vserver away (vs move), or all: vs evacuate HOST',
  swap: 'See who takes memory: vs top --host HOST --sort mem. Move a vserver away: vs move',
  disk: full,
  'disk-growth': `See who grows: vs stats. ${full}`,
  cpu: busy,
  load: busy,
  'psi-cpu': busy,
  'psi-memory': busy,
  'psi-io': busy,
  'pool-data': `A thin pool that is full stops all that lies in it. ${full}; or make it bigger: lvextend`,
  'pool-metadata':
    'A thin pool without room for metadata breaks: lvextend --poolmetadatasize +1G VG/POOL on HOST',
  raid: 'Change the disk that has failed: cat /proc/mdstat, mdadm --detail on HOST. Back up what lies there: vs backup run',
  smart: 'Change the disk before it fails: smartctl -a on HOST. Move its vservers away: vs evacuate HOST',
  links:
    'Look at cable, switch and the settings of that device; vservers of those networks reach nobody until then',
  clock:
    'Look at the time service of HOST: timedatectl, chronyc tracking. With a wrong clock certificates and schedules go wrong',
  monitor: 'Mend the named line of host-monitor.conf on HOST. What was in force before stays so until then',
};
