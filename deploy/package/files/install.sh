#!/bin/sh
# install.sh: installs vs-tools from its tarball, on Debian 12 or 13 or what is like them. Run again it upgrades; vservers run on.
# install.sh [--root DIRECTORY] | install.sh --remove
set -eu
fail() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }
root=
remove=no
while [ $# -gt 0 ]; do
  case $1 in
    --root) root=${2:?--root needs a directory}; shift ;;
    --remove) remove=yes ;;
    *) fail "$1 is unknown; there are --root DIRECTORY and --remove" ;;
  esac
  shift
done
here=$(cd "$(dirname "$0")" && pwd -P)
home=$root/usr/lib/vs-tools
mark=$home/.installed-by-install.sh
[ "$(id -u)" = 0 ] || fail "this needs root; run it again with sudo"
if [ -d "$home" ] && [ ! -e "$mark" ]; then
  fail "$home is there and does not come from install.sh; if it is the Debian package: apt-get remove vs-tools"
fi
managed() { [ -z "$root" ] && [ -d /run/systemd/system ]; }
units="vs-broker vs-master vs-agent" # not vs-vservers: its stop is that of the vservers

dropFiles() { # what the version before installed
  while read -r file; do
    case $file in /etc/* | *..*) ;; /*) rm -f "$root$file" ;; esac
  done <"$1"
}

if [ "$remove" = yes ]; then
  [ -e "$mark" ] || fail "there is nothing in ${home} that install.sh installed"
  if managed; then
    for unit in vs-agent vs-master vs-broker; do systemctl stop "$unit.service" || true; done
    systemctl disable vs-agent.service vs-master.service vs-broker.service vs-vservers.service || true
  fi
  list=$(mktemp)
  cp "$mark" "$list"
  dropFiles "$list"
  rm -rf "$home" "$root/usr/share/doc/vs-tools" "$list"
  managed && systemctl daemon-reload
  echo "vs-tools is removed. $root/etc/vs-tools, $root/var/lib/vs-tools and the vservers in $root/var/lib/vservers stay; those that run go on running."
  exit 0
fi

[ -d "$here/usr/lib/vs-tools" ] || fail "there is no usr/lib/vs-tools beside install.sh: unpack the whole tarball and run the one in it"
"$here"/usr/lib/vs-tools/node_modules/node-linux-*/bin/node -e 0 ||
  fail "the Node of this tarball does not run here ($(uname -m)); is libatomic1 installed, and is the tarball for this processor?"
missing=
for tool in lxc-start:lxc newuidmap:uidmap rsync:rsync nft:nftables ip:iproute2 arping:iputils-arping ping:iputils-ping \
  setfacl:acl setcap:libcap2-bin openssl:openssl ssh:openssh-client perl:perl ps:procps xz:xz-utils zstd:zstd; do
  PATH="$PATH:/usr/sbin:/sbin" command -v "${tool%:*}" >/dev/null || missing="$missing ${tool#*:}"
done
[ -z "$missing" ] || [ -n "$root" ] || fail "these are missing: apt-get install$missing"

# what a newer version wrote, this one cannot read: vservers of this host would not start (docs/upgrade.md)
knows=1
found=$(sed -n 's/.*"data": *\([0-9][0-9]*\).*/\1/p' "$root"/var/lib/vs-tools/data-version.json 2>/dev/null || true)
if [ "${found:-0}" -gt "$knows" ]; then
  fail "$root/var/lib/vs-tools has data of a newer vs-tools (data version $found, this one knows $knows): a downgrade is refused, nothing was changed"
fi

[ ! -e "$mark" ] || dropFiles "$mark"
rm -rf "$home"
for top in usr lib; do
  [ ! -d "$here/$top" ] || (cd "$here" && tar -cf - "$top") | tar -C "$root/" --no-same-owner --keep-directory-symlink -xf -
done
(cd "$here" && find etc -type f) | while read -r file; do
  if [ -e "$root/$file" ]; then
    cmp -s "$here/$file" "$root/$file" || install -D -m 0644 "$here/$file" "$root/$file.new"
  else
    install -D -m 0644 "$here/$file" "$root/$file"
  fi
done
(cd "$here" && find usr lib ! -type d | sed 's:^:/:') >"$mark"
cp "$here/install.sh" "$home/install.sh"
for directory in /var/lib/vservers /var/lib/vs-tools; do
  [ -d "$root$directory" ] || install -d -m 0700 "$root$directory"
done
for file in /etc/subuid /etc/subgid; do
  grep -qs '^root:100000:65536$' "$root$file" || echo 'root:100000:65536' >>"$root$file"
done
rm -rf "$root/var/cache/vs-tools/node"
if managed; then
  systemctl daemon-reload
  systemctl restart systemd-sysctl.service systemd-modules-load.service >/dev/null 2>&1 || true
  for unit in $units; do
    if systemctl -q is-active "$unit.service"; then
      echo "restarting $unit; vservers run on"
      systemctl restart "$unit.service" || echo "$unit did not start: journalctl -u $unit" >&2
    fi
  done
fi
echo "vs-tools is installed. Settings that you changed stay; what is new of them lies beside them as .new."
echo "On the master: vs master init. On a host: the line that 'vs host token NAME' prints there."
