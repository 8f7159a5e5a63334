#!/usr/bin/env bash
# npm run demo [-- --keep]: everything from nothing to a moved vserver, then takes it all down again.
set -euo pipefail
cd "$(dirname "$0")/.."
# a shell that was pointed at a lab (vs lab env) must not lend its settings
for name in ${!VS_@}; do case $name in VS_TEST_FULL | VS_TEMPLATE_MIRROR) ;; *) unset "$name" ;; esac; done
fail() { printf 'demo: %s\n' "$*" >&2; exit 1; }
[ "$(uname -s)" = Linux ] || fail "vs-tools manages Linux hosts; run this on Debian 12 or 13, in a VM if need be"
[ "$(id -u)" = 0 ] || fail "the lab makes namespaces, mounts and containers: run it as root (sudo npm run demo)"
bash deploy/setup.sh || exit 1
for node in node_modules/node-linux-*/bin; do PATH="$PWD/$node:$PATH"; done
exec node deploy/demo.ts "$@"
