# Moving an LXC container by hand, as a person with two hosts would script it: rsync, stop, rsync, start.
# Sourced by a shell on each host; every function runs there. TREE lies on the same file system as the vservers.
TREE=/var/lib/vservers/.plain
LXC=/var/lib/plain
PORT=8730

# plain_adopt NAME: takes a copy of a stopped vserver's tree.
plain_adopt() {
  mkdir -p -m 0700 "$TREE"
  cp -a --reflink=auto "/var/lib/vservers/$1/rootfs" "$TREE/rootfs"
}

# plain_config NAME: the configuration of that vserver without the hooks and files of vs-tools.
plain_config() {
  sed -e '/^#/d' -e '/^lxc\.hook\./d' -e "s|^lxc.rootfs.path = .*|lxc.rootfs.path = dir:$LXC/root|" \
    -e 's|^lxc.net.0.veth.pair = .*|lxc.net.0.veth.pair = plain0|' -e "s|^lxc.console.logfile = .*|lxc.console.logfile = $LXC/console|" \
    "/var/lib/vservers/$1/config"
}

# plain_host NAME FROM MANAGEMENT-ADDRESS <CONFIG: a host on which the container can run, and to which FROM can copy it.
plain_host() {
  mkdir -p "$LXC/$1" "$LXC/root" "$TREE"
  cat >"$LXC/$1/config"
  cat >"$LXC/rsyncd.conf" <<END
pid file = $LXC/rsyncd.pid
address = $3
port = $PORT
[tree]
path = $TREE
use chroot = yes
uid = root
gid = root
numeric ids = yes
read only = no
hosts allow = $2
reverse lookup = no
END
  rsync --daemon --config="$LXC/rsyncd.conf" >/dev/null 2>&1
}

# plain_copy TARGET [live]: one pass of the tree, in which files may vanish when it is live; prints the bytes that went over the wire.
plain_copy() {
  local stats
  stats=$(rsync -aHAX --numeric-ids --sparse --delete --stats "$TREE/rootfs" "rsync://$1:$PORT/tree/") || [ "$?:${2:-}" = 24:live ]
  tr -d , <<<"$stats" | awk '/^Total bytes (sent|received):/ { n += $4 } END { print n }'
}

# plain_stop NAME: stops it in order.
plain_stop() { lxc-stop -P "$LXC" -n "$1"; }

# plain_start NAME: starts it here and tells the neighbours at once and twice more, as services/network/announce.ts does.
plain_start() {
  local config=$LXC/$1/config pid mac first
  first=$(sed -n 's/^lxc.idmap = u 0 \([0-9]*\) .*/\1/p' "$config")
  mac=$(sed -n 's/^lxc.net.0.hwaddr = //p' "$config")
  perl "$ROOT/services/host-agent/idmap-mount.pl" "$TREE/rootfs" "$LXC/root" "$first" 65536
  lxc-start -P "$LXC" -n "$1" -d -o "$LXC/log" -l WARN || { tail -n 5 "$LXC/log" >&2; return 1; }
  pid=$(lxc-info -P "$LXC" -n "$1" -p -H)
  nsenter -t "$pid" -n sh -c 'echo 1 >/proc/sys/net/ipv4/conf/eth0/arp_notify; echo 1 >/proc/sys/net/ipv6/conf/eth0/ndisc_notify'
  nsenter -t "$pid" -n ip link set dev eth0 address "$mac"
  (for _ in 1 2; do sleep 0.3; nsenter -t "$pid" -n ip link set dev eth0 address "$mac"; done) >/dev/null 2>&1 &
}

# plain_forget: removes what is left on the host that it moved away from; not part of what is timed.
plain_forget() {
  umount "$LXC/root"
  rm -rf "$TREE/rootfs"
  sync -f "$TREE"
}
