#!/usr/bin/env bash
# Installs what vs-tools and its lab need on Debian 12 or 13: packages that are missing, and `npm ci`. Idempotent.
# `setup.sh vm`: also what the VM lab needs.
set -euo pipefail
cd "$(dirname "$0")/.."
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }
say() { printf 'setup: %s\n' "$*"; }

[ "$(uname -s)" = Linux ] || fail "vs-tools manages Linux hosts; run this on Debian 12 or 13, in a VM if need be"
[ "$(id -u)" = 0 ] || fail "installing packages and making a lab needs root; run it again with sudo"
command -v apt-get >/dev/null && command -v dpkg-query >/dev/null ||
  fail "there is no apt-get here; vs-tools is made for Debian 12 and 13"
command -v npm >/dev/null || fail "npm is missing; install it first: apt-get install npm"

packages="lxc mmdebstrap rsync nftables iproute2 btrfs-progs e2fsprogs uidmap mosquitto mosquitto-clients iputils-arping
  iputils-ping openssh-client openssh-server acl attr libcap2-bin openssl zstd xz-utils busybox-static perl procps tini util-linux mount libatomic1 jq nats-server faketime tmux binutils lintian restic"
[ "${1:-}" != vm ] || packages="$packages qemu-system-x86 qemu-utils"
policy=/usr/sbin/policy-rc.d
mark="vs-tools setup, temporary"
dropPolicy() { if grep -qs "$mark" "$policy"; then rm -f "$policy"; fi; }
trap dropPolicy EXIT
trap 'exit 130' INT TERM
dropPolicy # what a killed run left

isThere() {
  case "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null || true)" in installed) return 0 ;; esac
  return 1
}
missing=()
for package in $packages; do isThere "$package" || missing+=("$package"); done

if [ "${#missing[@]}" -gt 0 ]; then
  say "installing ${#missing[@]} Debian packages: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive LC_ALL=C
  if [ ! -e "$policy" ]; then # no service is started by the installation
    printf '#!/bin/sh\n# %s\nexit 101\n' "$mark" >"$policy"
    chmod 755 "$policy"
  fi
  install() {
    timeout 900 apt-get -y -qq -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 -o Acquire::Retries=3 \
      install --no-install-recommends "${missing[@]}" </dev/null
  }
  log=$(mktemp)
  say "reading the package lists"
  timeout 300 apt-get -qq -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3 update </dev/null >"$log" 2>&1 ||
    say "the package lists could not be read anew; trying with those that are there"
  say "downloading and unpacking (at most 15 minutes)"
  if ! install >"$log" 2>&1; then
    tail -n 5 "$log" >&2
    rm -f "$log"
    fail "apt-get could not install them; is a Debian mirror reachable? The last lines of its output stand above"
  fi
  rm -f "$log"
  # The tests start brokers and an ssh server of their own; those that came now shall not start at the next boot either.
  for package in mosquitto nats-server openssh-server; do
    case " ${missing[*]} " in
      *" $package "*) systemctl disable "${package/openssh-server/ssh}.service" >/dev/null 2>&1 || true ;;
    esac
  done
  say "packages are installed; no service was started"
fi

# Where uidmap is installed, LXC maps only ids that /etc/subuid and /etc/subgid give to root (newuidmap(1)).
for file in /etc/subuid /etc/subgid; do
  if ! grep -qs '^root:100000:65536$' "$file"; then
    say "adding root:100000:65536 to $file (the user ids of vservers)"
    printf 'root:100000:65536\n' >>"$file"
  fi
done

# The stamp is written last, so it names the lock file of what is whole.
stamp=node_modules/.vs-tools-installed
wanted=$(sha256sum package-lock.json | cut -d' ' -f1)
if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ] || ! compgen -G 'node_modules/node-linux-*/bin/node' >/dev/null; then
  say "installing the npm packages of package-lock.json (npm ci)"
  log=$(mktemp)
  if ! timeout 600 npm ci --no-audit --no-fund --loglevel=error </dev/null >"$log" 2>&1; then
    tail -n 5 "$log" >&2
    rm -f "$log"
    fail "npm ci failed; is the npm registry reachable? The last lines of its output stand above"
  fi
  rm -f "$log"
  printf '%s\n' "$wanted" >"$stamp"
fi
compgen -G 'node_modules/node-linux-*/bin/node' >/dev/null || fail "there is no Node for this processor ($(uname -m)): amd64 and arm64 have one"
for node in node_modules/node-linux-*/bin/node; do
  "./$node" -e 0 || fail "the bundled Node does not run on this machine ($(uname -m))"
done
say "everything is in place"
