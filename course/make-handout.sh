#!/usr/bin/env bash
# Makes what students get from the solutions, by cutting what is to be written: the hand-out's starter code, and the
# exercises of the chapters.
#
#   course/make-handout.sh          writes course/handout/rust, course/handout/python and course/exercises anew
#   course/make-handout.sh DIR      writes them below DIR instead of course
#
# In a source, in comments of its language:
#
#   course: begin solution          from here to the end the solution has its own lines,
#   course: starter                 and from here (optional), commented out with //: or #:, those of the starter
#   course: end solution
set -euo pipefail

course=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
to=${1:-$course}

# cut_out FILE: the starter's text of a source.
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

# make FROM TO: from a folder of the solution.
make() {
  local file
  rm -rf "${to:?}/$2"
  while IFS= read -r file; do
    mkdir -p "$(dirname "$to/$2/$file")"
    cut_out "$course/solution/$1/$file" >"$to/$2/$file"
    if [[ -x $course/solution/$1/$file ]]; then chmod +x "$to/$2/$file"; fi
  done < <(cd "$course/solution/$1" && find . -type f -not -path '*/target/*' -not -path '*/__pycache__/*')
}

make rust handout/rust
make python handout/python
make exercises exercises
