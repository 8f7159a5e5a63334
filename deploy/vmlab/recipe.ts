import { createHash } from 'node:crypto';
import { include } from '../../services/template/suites.ts';
import { depends, recommends } from '../package/control.ts';

/** The suites of Debian of which VMs are made, and the place where each has its packages of the kernel. */
export const suites = ['trixie', 'bookworm'] as const;
export type Suite = (typeof suites)[number];

/** What docs/install.md has on a host, what a Debian system boots with, and the tools of the proofs. No kernel: see image.ts. */
const packages = [
  'systemd-sysv udev dbus kmod openssh-server iproute2 procps util-linux mount e2fsprogs btrfs-progs quota lvm2 thin-provisioning-tools',
  'lxc uidmap rsync nftables acl attr libcap2-bin iputils-ping iputils-arping busybox-static tini perl',
  'libatomic1 openssl openssh-client zstd xz-utils ca-certificates tcpdump netcat-openbsd',
].flatMap((line) => line.split(' '));

/** Units that a machine of an hour does not need, or that would be in the way (docs/install.md: lxc-net). */
const masked = [
  'lxc-net.service lxc.service apt-daily.timer apt-daily-upgrade.timer fstrim.timer e2scrub_all.timer dpkg-db-backup.timer',
  'e2scrub_reap.service quota.service quotarpc.service systemd-networkd-wait-online.service',
  'getty@tty1.service serial-getty@ttyS0.service',
].flatMap((line) => line.split(' '));

/** The package of the kernel: Debian's own for virtual machines, which brings in the newest of its suite. */
export const kernelPackage = 'linux-image-cloud-amd64';

/** What the machine boots with: these and what they depend on are in the initrd, unless they are in the kernel. */
export const bootModules = ['virtio_pci', 'virtio_blk', 'ext4'];

/** Raised when image.ts makes something else of the same recipe. */
const generation = 1;

export interface Recipe {
  suite: Suite;
  /** A mirror of Debian; empty: that of mmdebstrap, with security updates. */
  mirror: string;
  packages: string[];
  masked: string[];
  initrd: string;
  /** Groups of packages that lie beside the image with all that each group needs there, as a mirror would have them. */
  mirrored?: string[][];
}

/** The first program: loads what the disk needs, lays the files of this VM over it (the second disk is a tar), and changes over to it. */
const initrd = `#!/bin/busybox sh
bb=/bin/busybox
$bb mount -t devtmpfs dev /dev
for module in /modules/*.ko; do $bb insmod $module; done
tries=0
while [ ! -b /dev/vdb ] && [ $tries -lt 300 ]; do $bb sleep 0.1; tries=$((tries + 1)); done
$bb mount -t ext4 /dev/vda /root || exec $bb sh
$bb tar -xf /dev/vdb -C /root
$bb umount /dev
exec $bb switch_root /root /sbin/init
`;

/** The recipe of the image of a suite. */
export const recipeOf = (suite: Suite, mirror: string, more: string[] = []): Recipe => ({
  suite,
  mirror,
  packages: [...packages, ...more],
  masked,
  initrd,
});

/** A Debian as its installer leaves it, more or less: nothing that vs-tools needs is there because the lab put it there. */
const bare =
  'systemd-sysv udev dbus kmod openssh-server iproute2 util-linux mount e2fsprogs ca-certificates netcat-openbsd'.split(
    ' ',
  );

/** Of "rsync (>= 3.2)" and "default-mta | mail-transport-agent" the name that apt takes. */
const nameOf = (dependency: string): string => dependency.split(/[ |(]/)[0] ?? '';

/**
 * The recipe of bare machines: the packages that vs-tools depends on or recommends lie beside the image, and those of a template of
 * the suite.
 */
export const bareRecipeOf = (suite: Suite, mirror: string): Recipe => ({
  suite,
  mirror,
  packages: bare,
  masked: masked.filter((unit) => !unit.startsWith('lxc')),
  initrd,
  mirrored: [[...depends, ...recommends].map(nameOf), ['?essential', ...include.split(',')]],
});

/** By this name an image lies in the cache: another recipe has another one. */
export const keyOf = (recipe: Recipe): string =>
  `${recipe.mirrored ? 'bare-' : ''}${recipe.suite}-${createHash('sha256')
    .update(JSON.stringify([generation, recipe, kernelPackage, bootModules]))
    .digest('hex')
    .slice(0, 16)}`;

/** The arguments of mmdebstrap for a tree; `hook` is a script that gets that tree while apt can be used for it. */
export const bootstrapCommand = (recipe: Recipe, tree: string, hook: string): string[] => [
  'mmdebstrap',
  '--mode=root',
  '--variant=minbase',
  `--include=${recipe.packages.join(',')}`,
  '--aptopt=Acquire::Retries "3"',
  '--dpkgopt=path-exclude=/usr/share/doc/*',
  '--dpkgopt=path-exclude=/usr/share/man/*',
  '--dpkgopt=path-exclude=/usr/share/locale/*',
  `--customize-hook=${hook}`,
  recipe.suite,
  tree,
  ...(recipe.mirror ? [recipe.mirror] : []),
];

/** Fetches a group of packages with all that they need: the first as they come on top of the image, the others as on nothing at all. */
const mirrorLines = (groups: string[][]): string =>
  groups
    .map(
      (names, at) =>
        `apt-get -y -qq -o APT::Sandbox::User=root -o APT::Install-Recommends=${at === 0} -o Dir::Cache::archives="$1/packages/"${
          at === 0 ? '' : ' -o Dir::State::status=/dev/null'
        } --download-only install ${names.map((name) => `'${name}'`).join(' ')}\n`,
    )
    .join('');

/** The hook of mmdebstrap: fetches the kernel without installing it, which would drag in what makes initrds, and what is mirrored. */
export const hookOf = ({ mirrored }: Recipe): string => `#!/bin/sh
set -eu
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" LC_ALL=C
image=$(apt-cache depends ${kernelPackage} | sed -n 's/^ *Depends: \\(linux-image-[^ ]*\\)$/\\1/p' | head -n 1)
[ -n "$image" ] || { echo "E: no kernel behind ${kernelPackage}" >&2; exit 1; }
mkdir "$1/kernel"
cd "$1/kernel"
apt-get -o APT::Sandbox::User=root download "$image"
${mirrored ? `mkdir -p "$1/packages/partial"\n${mirrorLines(mirrored)}` : ''}`;
