#!/usr/bin/env bash
# npm run test:crash -- ...: breaks everything at each line of each saga's journal, on real containers. docs/crash-matrix.md
set -euo pipefail
cd "$(dirname "$0")/.."
# a shell that was pointed at a lab (vs lab env) must not lend its settings
for name in ${!VS_@}; do case $name in VS_TEST_FULL | VS_TEMPLATE_MIRROR) ;; *) unset "$name" ;; esac; done
bash deploy/setup.sh >&2
for node in node_modules/node-linux-*/bin; do PATH="$PWD/$node:$PATH"; done
exec node deploy/crash.ts "$@"
