# The plain ways to move a container, and the sets of files, for `bench move`. Sourced after plain.sh, on each host.
PIPE=$ROOT/deploy/bench/pipe.pl

# tree_fill TREE SET: files beside those of the system: S 260 MB in 10 k, M 874 MB in 111 k, L 2.3 GB in 10 k with them.
tree_fill() {
  mkdir -p "$1/srv/small" && cd "$1/srv"
  head -c 50M /dev/urandom >blob
  case $2 in
    M)
      # 100 k files of 6 kB in 100 directories, cut from random bytes
      perl -e 'open my $r, "<", "/dev/urandom"; for my $d (0 .. 99) { mkdir "small/$d"; for my $f (0 .. 999) { read $r, my $b, 6000; open my $o, ">", "small/$d/$f" or die $!; print $o $b } }' ;;
    L) for i in $(seq 20); do head -c 100M /dev/urandom >"large$i"; done ;;
  esac
  sync -f .
}

# tree_churn TREE: what a busy system changes meanwhile: 1 % of the files by a byte, and 50 MB in place.
tree_churn() {
  cd "$1" 2>/dev/null || return 0
  local all; all=$(find . -xdev -type f 2>/dev/null | wc -l)
  { find usr/share/doc usr/share/zoneinfo usr/share/locale srv/small -type f 2>/dev/null || true; } | shuf -n $((all / 100)) |
    perl -ne 'chomp; open my $f, ">>", $_ or next; print $f "x"; close $f'
  dd if=/dev/urandom of=srv/blob bs=1M count=50 conv=notrunc status=none
}

# plain_empty: an empty place for the tree on the host that gets it; on btrfs a subvolume.
plain_empty() {
  plain_drop
  mkdir -p "$TREE/snap"
  [ "$(stat -f -c %T "$TREE")" != btrfs ] || btrfs subvolume create "$TREE/rootfs" >/dev/null
  sync -f "$TREE"
}

# plain_drop: the tree of a host from which the container moved away.
plain_drop() {
  umount "$LXC/root" 2>/dev/null || true
  for one in "$TREE"/snap/* "$TREE/rootfs"; do
    [ -e "$one" ] || continue
    if [ "$(stat -f -c %T "$one") $(stat -c %i "$one")" = 'btrfs 256' ]; then btrfs subvolume delete "$one" >/dev/null; else rm -rf "$one"; fi
  done
}

# plain_take NAME: as plain_adopt, but a subvolume where the file system has them.
plain_take() {
  plain_empty
  cp -a --reflink=auto "/var/lib/vservers/$1/rootfs/." "$TREE/rootfs/"
  sync -f "$TREE"
}

# plain_ready NAME: the idmapped mount, where the tree is there already before the stop.
plain_ready() {
  local first; first=$(sed -n 's/^lxc.idmap = u 0 \([0-9]*\) .*/\1/p' "$LXC/$1/config")
  perl "$ROOT/services/host-agent/idmap-mount.pl" "$TREE/rootfs" "$LXC/root" "$first" 65536
}

# plain_boot NAME: starts it and tells the neighbours; the mount is there.
plain_boot() {
  local pid mac; mac=$(sed -n 's/^lxc.net.0.hwaddr = //p' "$LXC/$1/config")
  lxc-start -P "$LXC" -n "$1" -d -o "$LXC/log" -l WARN || { tail -n 5 "$LXC/log" >&2; return 1; }
  pid=$(lxc-info -P "$LXC" -n "$1" -p -H)
  nsenter -t "$pid" -n sh -c 'echo 1 >/proc/sys/net/ipv4/conf/eth0/arp_notify; echo 1 >/proc/sys/net/ipv6/conf/eth0/ndisc_notify'
  nsenter -t "$pid" -n ip link set dev eth0 address "$mac"
  (for _ in 1 2; do sleep 0.3; nsenter -t "$pid" -n ip link set dev eth0 address "$mac"; done) >/dev/null 2>&1 &
}

# plain_serve MANAGEMENT-ADDRESS: takes btrfs streams, one after the other, until plain_unserve.
plain_serve() {
  mkdir -p "$TREE/snap"
  perl "$PIPE" serve "$1" 8731 btrfs receive "$TREE/snap" >/dev/null 2>&1 & echo $! >"$LXC/serve.pid"
}
plain_unserve() { kill "$(cat "$LXC/serve.pid")" 2>/dev/null || true; }

# plain_snap NUMBER: a snapshot, to be sent as it differs from the one before; sets PARENT.
plain_snap() {
  mkdir -p "$TREE/snap"
  # the snapshots of when it came here are not those of its way back
  [ "$1" != 0 ] || for one in "$TREE"/snap/*; do [ ! -e "$one" ] || btrfs subvolume delete "$one" >/dev/null; done
  btrfs subvolume snapshot -r "$TREE/rootfs" "$TREE/snap/$1" >/dev/null
  PARENT=(); [ "$1" = 0 ] || PARENT=(-p "$TREE/snap/$(($1 - 1))")
}

# plain_send TARGET NUMBER: such a snapshot, to plain_serve; prints the bytes.
plain_send() {
  plain_snap "$2"
  perl "$PIPE" send "$1" 8731 btrfs send -q "${PARENT[@]}" "$TREE/snap/$2"
}

# plain_hear_tls MANAGEMENT-ADDRESS: takes one btrfs stream through TLS 1.3, by openssl, which asks for no certificate of the other end.
plain_hear_tls() {
  local try; mkdir -p "$TREE/snap"; rm -f "$LXC/took"
  [ -p "$LXC/idle" ] || mkfifo "$LXC/idle" # an input that never ends: s_server ends with it
  [ -s "$LXC/tls.crt" ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=plain -days 2 \
    -keyout "$LXC/tls.key" -out "$LXC/tls.crt" 2>/dev/null
  (set -o pipefail; openssl s_server -quiet -tls1_3 -ciphersuites TLS_AES_128_GCM_SHA256 -accept "$1:8732" -naccept 1 -cert "$LXC/tls.crt" \
    -key "$LXC/tls.key" <>"$LXC/idle" | btrfs receive -q "$TREE/snap"; echo $? >"$LXC/took") >/dev/null 2>"$LXC/take.log" &
  for try in $(seq 200); do [ -z "$(ss -Hlnt "src $1:8732")" ] || return 0; sleep 0.01; done
  echo "nobody listens on $1:8732" >&2; return 1
}
# plain_took_tls: waits until that stream has been taken.
plain_took_tls() {
  while [ ! -s "$LXC/took" ]; do sleep 0.01; done
  [ "$(cat "$LXC/took")" = 0 ] || { cat "$LXC/take.log" >&2; return 1; }
}
# plain_send_tls TARGET NUMBER: a snapshot, to plain_hear_tls; prints the bytes.
plain_send_tls() {
  plain_snap "$2"
  btrfs send -q "${PARENT[@]}" "$TREE/snap/$2" | perl -e 'while (my $n = sysread STDIN, $_, 1 << 18) { $sent += $n; print } print STDERR $sent' 2>"$LXC/sent" |
    openssl s_client -quiet -nocommands -no_ign_eof -connect "$1:8732" >/dev/null 2>&1
  cat "$LXC/sent"
}

# plain_promote NUMBER: the last snapshot that came becomes the tree.
plain_promote() {
  btrfs subvolume delete "$TREE/rootfs" >/dev/null 2>&1 || true
  btrfs subvolume snapshot "$TREE/snap/$1" "$TREE/rootfs" >/dev/null
}

# mine_trash NAME: empties what vs keeps of an old copy, so that no round has less room than the one before.
mine_trash() {
  for one in /var/lib/vservers/.trash/"$1".*; do
    [ -e "$one" ] || continue
    if [ -d "$one" ] && [ "$(stat -f -c %T "$one") $(stat -c %i "$one")" = 'btrfs 256' ]; then btrfs subvolume delete "$one" >/dev/null; else rm -rf "$one"; fi
  done
  sync -f /var/lib/vservers
}

# settled: nothing of what went before is still being written, or cleared away in the background.
settled() {
  [ "$(stat -f -c %T /var/lib/vservers)" != btrfs ] || btrfs subvolume sync /var/lib/vservers >/dev/null
  sync -f /var/lib/vservers
}
