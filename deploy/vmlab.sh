#!/usr/bin/env bash
# npm run test:vm [-- --suite bookworm] [vitest's own flags]: proves on Debian's own kernel, in VMs, what this machine's kernel
# may lack, and prints a table of it. docs/vmlab.md
set -euo pipefail
cd "$(dirname "$0")/.."
# a shell that was pointed at a lab (vs lab env) must not lend its settings
for name in ${!VS_@}; do case $name in VS_VM_* | VS_TEMPLATE_MIRROR) ;; *) unset "$name" ;; esac; done
[ "$(uname -m)" = x86_64 ] || { echo "vmlab: the VMs are of amd64, and this machine is $(uname -m)" >&2; exit 1; }
if [ "${1:-}" = --suite ]; then export VS_VM_SUITE=${2:?}; shift 2; fi
bash deploy/setup.sh
missing=()
for pair in qemu-system-x86_64:qemu-system-x86 qemu-img:qemu-utils; do
  command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
done
if [ "${#missing[@]}" -gt 0 ]; then
  echo "vmlab: installing ${missing[*]} (at most 10 minutes)"
  log=$(mktemp)
  if ! DEBIAN_FRONTEND=noninteractive timeout 600 apt-get -y -qq -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 \
    -o Acquire::Retries=3 install --no-install-recommends "${missing[@]}" </dev/null >"$log" 2>&1; then
    tail -n 5 "$log" >&2; rm -f "$log"
    echo "vmlab: apt-get could not install them; is a Debian mirror reachable?" >&2
    exit 1
  fi
  rm -f "$log"
fi
for node in node_modules/node-linux-*/bin; do PATH="$PWD/$node:$PATH"; done
VS_VM_PROOFS=$(mktemp)
export VS_VM_PROOFS
trap 'rm -f "$VS_VM_PROOFS"' EXIT
code=0
node node_modules/vitest/vitest.mjs run --project vm "$@" || code=$?
node deploy/vmlab/table.ts "$VS_VM_PROOFS" || code=1
exit "$code"
