/**
 * A script for bash on a host: prints what a saga must not leave, one line each: staging, snapshots, endpoints, locks,
 * probes, foreign trees and mounts, half-written files. Prints nothing when all is clean. A probe of a lab beside this one may
 * show up for some seconds, and so may a file that the agent writes just now.
 */
export const leftoversScript = `cd /var/lib/vservers
find .staging .snapshots -mindepth 1 -not -path '.snapshots/*' 2>/dev/null | grep -v '^.snapshots/[^/]*$'
find .snapshots -mindepth 2 2>/dev/null
ls -A /run/vs | grep transfer
ls -A /var/lib/vs-tools/locks 2>/dev/null
for probe in $(ls /run/netns 2>/dev/null | grep "^vsprobe-$(hostname)-"); do sleep 5; ls /run/netns | grep -xF "$probe"; done
pgrep -a 'rsync|btrfs'
for m in $(grep -o '/run/vs/[a-z0-9-]*' /proc/self/mountinfo); do [ -d "/var/lib/vservers/$(basename $m)" ] || echo "mount $m"; done
half() { find /var/lib/vservers /var/lib/vs-tools -name '*.tmp' -not -path '*/rootfs/*' -printf '%i %p\\n' 2>/dev/null | sort; }
was=$(half); [ -z "$was" ] || { sleep 5; comm -12 <(echo "$was") <(half); }
true`;

/** A script for bash on a host: what it must have as much of after many sagas as before, as `name number`. */
export const countsScript = `echo mounts $(grep -c . /proc/self/mountinfo)
echo namespaces $(for kind in mnt net pid user; do readlink /proc/[0-9]*/ns/$kind; done | sort -u | grep -vxF "$(readlink /proc/self/ns/mnt)" | wc -l)
echo probes $(ls /run/netns 2>/dev/null | grep -c "^vsprobe-$(hostname)-")
echo links $(ip -o link | wc -l)
echo tables $(nft list tables | wc -l)
echo sockets $(ss -Htln | wc -l)
echo rules $(ls /var/lib/vs-tools/rules 2>/dev/null | wc -l)
echo run $(ls -A /run/vs | wc -l)
echo endpoints $(ls -A /run/vs | grep -c transfer)
echo snapshots $(find /var/lib/vservers/.snapshots /var/lib/vservers/.staging -mindepth 2 -maxdepth 2 2>/dev/null | wc -l)
echo subvolumes $(btrfs subvolume list /var/lib/vservers 2>/dev/null | grep -vcE '[.](trash|kept)/')`;

/** The same for the copies that the master keeps. */
export const masterLeftovers = `cd /var/lib/vs-tools/copies 2>/dev/null || exit 0
find .staging .snapshots -mindepth 1 -maxdepth 1 2>/dev/null
pgrep -a 'rsync|btrfs'
true`;
