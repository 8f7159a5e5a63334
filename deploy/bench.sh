#!/usr/bin/env bash
# npm run bench -- cli|move|backup|transfer|fair|broker|monitor|row [--json]: figures as ratios within one run, beside a plain way of doing the same.
set -euo pipefail
cd "$(dirname "$0")/.."
# a shell that was pointed at a lab (vs lab env) must not lend its settings
for name in ${!VS_@}; do case $name in VS_TEST_FULL | VS_TEMPLATE_MIRROR) ;; *) unset "$name" ;; esac; done
[ "$(id -u)" = 0 ] || { echo "bench: the lab needs root" >&2; exit 1; }
bash deploy/setup.sh >&2
for node in node_modules/node-linux-*/bin; do PATH="$PWD/$node:$PATH"; done
exec node deploy/bench.ts "$@"
