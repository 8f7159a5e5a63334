#!/usr/bin/env bash
# Builds the Debian package of this machine's architecture, and the tarball, into dist/ (docs/release.md).
set -euo pipefail
cd "$(dirname "$0")/.."
for node in node_modules/node-linux-*/bin; do PATH="$PWD/$node:$PATH"; done
exec node deploy/package/build.ts "$@"
