#!/usr/bin/env bash
# npm run test:sim: the pool in a simulation (docs/simulator.md).
set -euo pipefail
cd "$(dirname "$0")/.."
for node in node_modules/node-linux-*/bin; do PATH="$PWD/$node:$PATH"; done
exec node test/sim/main.ts "$@"
