#!/usr/bin/env bash
# Fails unless a program needs no library of the system: scripts/is-static.sh PROGRAM
set -euo pipefail
libraries=$(ldd "$1" 2>/dev/null || true)
if [[ $libraries == *'=>'* ]]; then
  echo "$1 needs libraries of this system:" >&2
  echo "$libraries" >&2
  exit 1
fi
"$1" --version | sed "s|^|$1 is static: |"
