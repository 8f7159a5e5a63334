#!/usr/bin/env bash
# npm test: set-up, checks, unit and flow tests, then the real ones (root: namespaces, LXC, rsync, btrfs).
set -euo pipefail
cd "$(dirname "$0")/.."
bash deploy/setup.sh
bash deploy/check.sh
printf '\n== real tests (containers, namespaces, copies)\n'
for node in node_modules/node-linux-*/bin; do PATH="$PWD/$node:$PATH"; done
report=$(mktemp)
trap 'rm -f "$report"' EXIT
node node_modules/vitest/vitest.mjs run --project real --reporter=default --reporter=json --outputFile.json="$report"
node deploy/no-skips.ts "$report"
