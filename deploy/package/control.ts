import { debianVersion } from '../../shared/versions.ts';

/** What the services call, by package: no host or master works without these. */
export const depends = [
  'libatomic1', // Node
  'libc6 (>= 2.28)',
  'libstdc++6',
  'libgcc-s1',
  'lxc (>= 1:5.0)',
  'uidmap',
  'rsync (>= 3.2)',
  'nftables',
  'iproute2',
  'iputils-arping',
  'iputils-ping',
  'acl', // setfacl: who may pass to the mounts of guests
  'libcap2-bin', // setcap: what a guest may not have
  'openssl',
  'openssh-client',
  'perl',
  'procps',
  'xz-utils',
  'zstd',
];
/** What some storages, backups and templates call. */
export const recommends = [
  'btrfs-progs',
  'lvm2',
  'thin-provisioning-tools',
  'quota',
  'mmdebstrap',
  'debian-archive-keyring',
  'busybox-static',
  'restic',
  'apparmor',
  'default-mta | mail-transport-agent',
];
export const suggests = ['bash-completion', 'mosquitto', 'mosquitto-clients', 'ubuntu-archive-keyring'];

const maintainer = 'vs-tools <vs-tools@localhost>';

/** The changelog in the form of Debian, `epoch` (s) after 1970; what changed is told by CHANGELOG.md. */
export const changelogFile = (version: string, epoch: number): string =>
  `vs-tools (${debianVersion(version)}) stable; urgency=medium

  * See /usr/share/doc/vs-tools/CHANGELOG.md.

 -- ${maintainer}  ${new Date(epoch * 1000).toUTCString().replace('GMT', '+0000')}
`;

export interface Package {
  version: string;
  architecture: string;
  /** Of what it installs, in KiB. */
  installedKb: number;
}

/** The control file of the Debian package (deb-control(5)). */
export const controlFile = ({ version, architecture, installedKb }: Package): string =>
  `Package: vs-tools
Version: ${version}
Architecture: ${architecture}
Maintainer: ${maintainer}
Section: admin
Priority: optional
Installed-Size: ${installedKb}
Depends: ${depends.join(', ')}
Recommends: ${recommends.join(', ')}
Suggests: ${suggests.join(', ')}
Description: manage a pool of hosts and their vservers
 vs-tools manages a pool of Debian hosts and their vservers (system containers
 with LXC: a root file system, addresses on a VLAN, limits, a firewall) from
 one master. A vserver moves between hosts with a second of downtime, is
 backed up wherever it runs, and is watched.
 .
 The same package is for the master and for the hosts; "vs master init" or
 "vs join" make a machine the one or the other. Node is inside.
`;

/** The name that Debian has for a processor of Node. Throws for those that no package is made for. */
export function debianArchitecture(arch: string): 'amd64' | 'arm64' {
  const known = ({ x64: 'amd64', arm64: 'arm64' } as const)[arch];
  if (known) return known;
  throw new Error(`there is no package for the processor ${arch}; there is one for x64 and arm64`);
}
