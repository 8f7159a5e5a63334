#!/usr/bin/env bash
# npm run test:vm [-- --suite bookworm] [vitest's own flags]: proves on Debian's own kernel, in VMs, what this machine's kernel
# may lack, and prints a table of it. docs/vmlab.md
set -euo pipefail
cd "$(dirname "$0")/.."
# a shell that was pointed at a lab (vs lab env) must not lend its settings
for name in ${!VS_@}; do case $name in VS_VM_* | VS_TEST_FULL | VS_TEMPLATE_MIRROR) ;; *) unset "$name" ;; esac; done
[ "$(uname -m)" = x86_64 ] || { echo "vmlab: the VMs are of amd64, and this machine is $(uname -m)" >&2; exit 1; }
if [ "${1:-}" = --suite ]; then export VS_VM_SUITE=${2:?}; shift 2; fi
bash deploy/setup.sh vm
for node in node_modules/node-linux-*/bin; do PATH="$PWD/$node:$PATH"; done
VS_VM_PROOFS=$(mktemp)
export VS_VM_PROOFS
report=$(mktemp)
code=0
# the table is printed also of a run that was stopped in its middle
finish() {
  code=$?
  trap - EXIT
  node deploy/vmlab/table.ts "$VS_VM_PROOFS" || [ "$code" != 0 ] || code=1
  rm -f "$VS_VM_PROOFS" "$report"
  exit "$code"
}
trap finish EXIT
trap 'exit 143' TERM INT
node node_modules/vitest/vitest.mjs run --project vm --reporter=default --reporter=json --outputFile.json="$report" "$@"
if [ $# = 0 ]; then node deploy/no-skips.ts "$report" test/vm/must-run.txt; fi
