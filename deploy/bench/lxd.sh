# Moving a container with LXD, for `bench move --peer lxd`. Sourced after ways.sh by the shell of each host; every function runs there.
# LXD_FILES: where the programs of LXD were unpacked to; empty where LXD is installed. Nothing of a daemon of the machine is used: directory,
# sockets, pool and bridge are the host's of the lab, and go with it.
LXD=/run/vslab-node/data/lxd
POOL=/var/lib/vservers/.lxd

# lxd_do COMMAND...: runs it (lxd, lxc) for the daemon of this host.
lxd_do() {
  local more=()
  [ -z "$LXD_FILES" ] || more=(PATH="$LXD_FILES/usr/bin:$PATH" LD_LIBRARY_PATH="$(compgen -G "$LXD_FILES/usr/lib/*-linux-gnu")")
  env "${more[@]}" LXD_DIR="$LXD" LXD_CONF="$LXD/client" LXD_SECURITY_APPARMOR=false "$@"
}

# lxd_up MANAGEMENT-ADDRESS DRIVER: a daemon, and its pool on the file system of the vservers.
lxd_up() {
  mkdir -p -m 0711 "$LXD"
  mkdir -p -m 0700 "$LXD/client"
  lxd_do setsid lxd --logfile "$LXD/lxd.log" </dev/null >"$LXD/output" 2>&1 &
  lxd_do lxd waitready --timeout 60 || { tail -n 5 "$LXD/output" >&2; return 1; }
  lxd_do lxc config set core.https_address "$1:8443"
  [ "$2" = btrfs ] || mkdir -p "$POOL" # the btrfs driver wants to make it, the other to find it
  lxd_do lxc storage create bench "$2" source="$POOL" >/dev/null
}

# lxd_identity: makes key and certificate of this host's client, and prints the certificate.
lxd_identity() {
  (umask 077; openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=bench \
    -keyout "$LXD/client/client.key" -out "$LXD/client/client.crt" 2>/dev/null)
  cat "$LXD/client/client.crt"
}
# lxd_trust <CERTIFICATE: the client of the other host may do everything here.
lxd_trust() { cat >"$LXD/other.crt"; lxd_do lxc config trust add "$LXD/other.crt" >/dev/null; }
# lxd_other MANAGEMENT-ADDRESS: the daemon of the other host is known as `other` from here on; it trusts our certificate already.
lxd_other() { lxd_do lxc remote add other "https://$1:8443" --accept-certificate >/dev/null; }

# lxd_image: an image of the plain container's tree, less the files of the set.
lxd_image() {
  local at=$LXD/image
  mkdir -p "$at"
  printf 'architecture: %s\ncreation_date: %s\n' "$(uname -m)" "$(date +%s)" >"$at/metadata.yaml"
  tar -C "$at" -cf "$at/metadata.tar" metadata.yaml
  tar -C "$TREE/rootfs" --numeric-owner --acls --xattrs --xattrs-include='*' --exclude='./srv/*' -cf "$at/rootfs.tar" .
  lxd_do lxc image import "$at/metadata.tar" "$at/rootfs.tar" --alias bench >/dev/null
  rm -r "$at"
}

# lxd_create NAME ADDRESS MAC PLAIN-NAME: a container of that image, with bridge, gateway and halt signal as the plain one has them.
lxd_create() {
  local config=$LXC/$4/config raw bridge
  bridge=$(sed -n 's/^lxc.net.0.link = //p' "$config")
  raw=$(grep -E '^lxc\.(signal\.halt|net\.0\.ipv4\.gateway) ' "$config")
  lxd_do lxc init bench "$1" -s bench -c raw.lxc="$raw
lxc.net.0.ipv4.address = $2/24" >/dev/null
  lxd_do lxc config device add "$1" eth0 nic nictype=bridged name=eth0 parent="$bridge" hwaddr="$3" >/dev/null
  lxd_do lxc image delete bench
}

# lxd_start NAME: starts it, and tells the neighbours at once and twice more, as for the others: LXD itself does not.
lxd_start() {
  local pid mac
  lxd_do lxc start "$1"
  pid=$(lxd_do lxc info "$1" | sed -n 's/^PID: //p')
  mac=$(lxd_do lxc config device get "$1" eth0 hwaddr)
  nsenter -t "$pid" -n sh -c 'echo 1 >/proc/sys/net/ipv4/conf/eth0/arp_notify; echo 1 >/proc/sys/net/ipv6/conf/eth0/ndisc_notify'
  nsenter -t "$pid" -n ip link set dev eth0 address "$mac"
  (for _ in 1 2; do sleep 0.3; nsenter -t "$pid" -n ip link set dev eth0 address "$mac"; done) >/dev/null 2>&1 &
}

# lxd_sent: the bytes that went through this host's management address so far, both ways.
lxd_sent() { echo $(($(cat /sys/class/net/eth0/statistics/tx_bytes) + $(cat /sys/class/net/eth0/statistics/rx_bytes))); }
