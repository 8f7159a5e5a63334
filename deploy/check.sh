#!/usr/bin/env bash
# The checks, in order: types, lint, format, unit, flow. Need what deploy/setup.sh installs.
set -euo pipefail
cd "$(dirname "$0")/.."
# a shell that was pointed at a lab (vs lab env) must not lend its settings
for name in ${!VS_@}; do case $name in VS_TEST_FULL | VS_TEMPLATE_MIRROR) ;; *) unset "$name" ;; esac; done
for node in node_modules/node-linux-*/bin; do PATH="$PWD/$node:$PATH"; done
say() { printf '\n== %s\n' "$*"; }
say "types";  npx tsc --noEmit
say "lint";   npx oxlint --type-aware
say "format"; npx oxfmt --check
say "unit, simulated and flow tests; those of the bus with mosquitto and NATS as well"
node node_modules/vitest/vitest.mjs run --project unit --project sim --project flow --project flow-mosquitto --project flow-nats "$@"
