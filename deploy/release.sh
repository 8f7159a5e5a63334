#!/usr/bin/env bash
# npm run release -- VERSION prepares a release, npm run release builds it into dist/VERSION (docs/release.md).
set -euo pipefail
cd "$(dirname "$0")/.."
for node in node_modules/node-linux-*/bin; do PATH="$PWD/$node:$PATH"; done
exec node deploy/package/release.ts "$@"
