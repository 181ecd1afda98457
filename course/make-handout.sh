#!/usr/bin/env bash
# Makes the hand-out's starter code from the solution of level 1, by cutting what is to be written.
#
#   course/make-handout.sh          writes course/handout/rust and course/handout/python anew
#   course/make-handout.sh DIR      writes DIR/rust and DIR/python
#
# In a source, in comments of its language:
#
#   course: begin solution          from here to the end the solution has its own lines,
#   course: starter                 and from here (optional), commented out with //: or #:, those of the starter
#   course: end solution
set -euo pipefail

course=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
to=${1:-$course/handout}

# cut FILE: the starter's text of a source.
cut_out() {
  awk '
    function fail(why) { print FILENAME ":" FNR ": " why >"/dev/stderr"; failed = 1; exit 1 }
    /course: begin solution/ { if (part) fail("begin within a solution"); part = "solution"; next }
    /course: starter/ { if (part != "solution") fail("starter outside of a solution"); part = "starter"; next }
    /course: end solution/ { if (!part) fail("end without begin"); part = ""; next }
    part == "solution" { next }
    part == "starter" { if (!sub(/(\/\/|#): ?/, "")) fail("expected //: or #:") }
    { print }
    END { if (!failed && part) fail("a solution without an end") }
  ' "$1"
}

for language in rust python; do
  rm -rf "${to:?}/$language"
  while IFS= read -r file; do
    mkdir -p "$to/$(dirname "$file")"
    cut_out "$course/solution/$file" >"$to/$file"
    if [[ -x $course/solution/$file ]]; then chmod +x "$to/$file"; fi
  done < <(cd "$course/solution" && find "$language" -type f -not -path '*/target/*' -not -path '*/__pycache__/*')
done
