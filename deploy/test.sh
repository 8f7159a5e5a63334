#!/usr/bin/env bash
# npm test: set-up, checks, unit and flow tests, then the real ones (root: namespaces, LXC, rsync, btrfs).
set -euo pipefail
cd "$(dirname "$0")/.."
# a shell that was pointed at a lab (vs lab env) must not lend its settings
for name in ${!VS_@}; do case $name in VS_TEST_FULL | VS_TEMPLATE_MIRROR) ;; *) unset "$name" ;; esac; done
bash deploy/setup.sh
bash deploy/check.sh
printf '\n== real tests (containers, namespaces, copies)\n'
for node in node_modules/node-linux-*/bin; do PATH="$PWD/$node:$PATH"; done
report=$(mktemp)
trap 'rm -f "$report"' EXIT
node node_modules/vitest/vitest.mjs run --project real --reporter=default --reporter=json --outputFile.json="$report"
node deploy/no-skips.ts "$report"
