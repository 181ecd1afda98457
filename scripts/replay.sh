#!/usr/bin/env bash
# Makes docs/explore.html with another recording in it: replay.sh PAGE [RECORDING]
# RECORDING is what `--trace=json` printed, `-` for standard input; without one, the demo is run and recorded.
#
# SERVER, CLIENT  absolute paths of the programs for the demo, by default ./Server and ./Client
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [[ $# -lt 1 || $# -gt 2 ]]; then
  echo "usage: replay.sh PAGE [RECORDING]" >&2
  exit 2
fi
page=$1 recording=${2:-}
work=$(mktemp -d "${TMPDIR:-/tmp}/shareit-replay.XXXXXX")
trap 'rm -rf "$work"' EXIT

if [[ -z $recording ]]; then
  DEMO_RECORD=$work/recorded bash "$repo/scripts/demo.sh"
  recording=$work/recorded
fi
# No text of a recording may end the script that it is in: only strings of JSON have this character.
cat -- "$recording" | sed -n '/^{"time":/ { s/</\\u003c/g; p; }' >"$work/events"
if [[ ! -s $work/events ]]; then
  echo "replay.sh: no event of --trace=json in $recording" >&2
  exit 1
fi
sed -e '/^<script id="recording"/,/^<\/script>/ { /^{/d; }' \
  -e "/^<script id=\"recording\"/r $work/events" "$repo/docs/explore.html" >"$work/page"
cp "$work/page" "$page"
echo "$page: $(wc -l <"$work/events") events"
