/**
 * A script for bash on a host: prints what a saga must not leave, one line each: staging, snapshots, endpoints, locks,
 * probes, foreign trees and mounts, half-written files. Prints nothing when all is clean.
 */
export const leftoversScript = `cd /var/lib/vservers
find .staging .snapshots -mindepth 1 -not -path '.snapshots/*' 2>/dev/null | grep -v '^.snapshots/[^/]*$'
find .snapshots -mindepth 2 2>/dev/null
ls -A /run/vs | grep transfer
ls -A /var/lib/vs-tools/locks 2>/dev/null
ls /run/netns 2>/dev/null | grep vsprobe
pgrep -a 'rsync|btrfs'
for m in $(grep -o '/run/vs/[a-z0-9-]*' /proc/self/mountinfo); do [ -d "/var/lib/vservers/$(basename $m)" ] || echo "mount $m"; done
find /var/lib/vservers /var/lib/vs-tools -name '*.tmp' -not -path '*/rootfs/*' 2>/dev/null
true`;
