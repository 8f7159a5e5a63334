#!/bin/sh
# vs: finds its own Node and runs the command line. See docs/operations.md.
self=$0
while [ -L "$self" ]; do
  link=$(readlink "$self")
  case $link in /*) self=$link ;; *) self=${self%/*}/$link ;; esac
done
case $self in */*) root=$(cd "${self%/*}" && pwd -P) ;; *) root=$(pwd -P) ;; esac
node=
for node in "$root"/node_modules/node-linux-*/bin/node; do [ -x "$node" ] && break; node=; done
if [ -z "$node" ] || [ ! -d "$root/node_modules/commander" ]; then
  echo "vs: the packages are not installed in $root: run deploy/setup.sh there (or npm ci)." >&2
  exit 1
fi
if [ -z "${NODE_COMPILE_CACHE:-}" ]; then
  if [ "$(id -u)" = 0 ]; then NODE_COMPILE_CACHE=/var/cache/vs-tools/node
  else NODE_COMPILE_CACHE=${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/vs-tools/node; fi
  [ -d "$NODE_COMPILE_CACHE" ] || (umask 077 && mkdir -p "$NODE_COMPILE_CACHE") 2>/dev/null
  export NODE_COMPILE_CACHE
fi
export MALLOC_ARENA_MAX="${MALLOC_ARENA_MAX:-2}" # several MB of every service
case ${0##*/} in vs-*) exec "$node" "$root/cli/classic/main.ts" "${0##*/}" "$@" ;; esac # the names of 2007
# as shared/agent-flags.ts says, which tells why
small=
case "${1:-} $* " in "service "*" host-agent "*) small="--semi-space-growth-factor=1 --heap-growing-percent=20 --optimize-for-size" ;; esac
# shellcheck disable=SC2086 # several words
exec "$node" $small "$root/cli/main.ts" "$@"
