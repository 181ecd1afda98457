#!/usr/bin/env bash
# Stores the tree of scripts/tree.sh with tar, rsync, restic and ShareIt, those that are installed, gets it back, and
# prints what came back as a table in Markdown, which docs/KEEPS.md explains: keeps.sh [PROGRAM...].
# Everything happens in a temporary folder, with servers on free ports, and is removed at the end.
#
# SERVER, CLIENT  ShareIt's programs, ./Server and ./Client by default
# DETAILS         a new folder for the programs' messages, and for a list of what each did not keep
# TMPDIR          decides about the file system: one without times before 1901 cannot show that they are kept
set -euo pipefail
export LC_ALL=C TZ=UTC # names are bytes
umask 022

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
server=$(realpath -m "${SERVER:-$repo/Server}") client=$(realpath -m "${CLIENT:-$repo/Client}")
details=${DETAILS:-}
pids=()
next_port=$((20000 + RANDOM % 10000)) # below the range for outgoing connections

die() { echo "keeps: $1" >&2 && exit 1; }

# --- the programs: how each is called, its version, store ../tree, get it back into back/ ---

programs=(tar rsync restic ShareIt)
declare -A calls=([tar]=tar [rsync]=rsync [restic]=restic [ShareIt]=$client)

version_of() {
  local first
  case $1 in
    restic) first=$(restic version) ;;
    *) first=$("${calls[$1]}" --version) ;;
  esac
  [[ $first =~ [0-9]+\.[0-9.]*[0-9] ]] && echo "$1 ${BASH_REMATCH[0]}"
}

tar_stores() { tar -cf store.tar -C .. tree; }
tar_returns() { mkdir -p back && tar -xpf store.tar -C back; }

rsync_stores() { rsync -a ../tree store; }
rsync_returns() { rsync -a store/tree back; }

export RESTIC_PASSWORD=keeps RESTIC_REPOSITORY=store
restic() { command restic --no-cache "$@"; }
restic_stores() { restic init --quiet && cd .. && restic -r restic/store backup tree; }
restic_returns() { restic restore latest --target back; }

ShareIt_stores() { timeout 120 "$client" .. User.conf Upload tree; } # without end, if it follows links
ShareIt_returns() { ln -sfn Downloads/Keeps back && timeout 120 "$client" .. User.conf Download tree; }

# --- ShareIt's servers ---

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# start N: false if the server ended, as it does if its port has just been taken.
start() {
  while answers "$next_port"; do next_port=$((next_port + 1)); done
  "$server" ROOT "Server$1" "$next_port" </dev/null >"Server$1.log" 2>&1 &
  local pid=$!
  pids+=("$pid")
  for _ in {1..600}; do
    if grep -q 'listening on' "Server$1.log" 2>/dev/null; then
      echo "Server$1 localhost:$next_port" >>User.conf
      next_port=$((next_port + 1))
      return 0
    fi
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  next_port=$((next_port + 1))
  return 1
}

ShareIt_starts() {
  local n
  mkdir ROOT
  echo Keeps@123 | "$server" adduser ROOT Keeps >adduser.log 2>&1 || die "adduser: $(<adduser.log)"
  (umask 077 && printf 'Username Keeps\nPassword Keeps@123\n' >User.conf)
  for n in 1 2 3 4; do
    start "$n" || start "$n" || start "$n" || die "Server$n did not start: $(tail -n 1 "Server$n.log")"
  done
}

# --- reading a tree ---

# read_tree FOLDER: into `new`, whose keys are FIELD/PATH.
read_tree() {
  local path type mode time target size links blocks owner hash
  new=()
  while IFS= read -r -d '' path && IFS= read -r -d '' type && IFS= read -r -d '' mode && IFS= read -r -d '' time &&
    IFS= read -r -d '' target && IFS= read -r -d '' size && IFS= read -r -d '' links && IFS= read -r -d '' blocks &&
    IFS= read -r -d '' owner; do
    new["type/$path"]=$type
    new["mode/$path"]=$mode
    new["seconds/$path"]=${time%.*}
    new["nanoseconds/$path"]=${time#*.}
    new["target/$path"]=$target
    new["links/$path"]=$links
    new["owner/$path"]=$owner
    new["sparse/$path"]=$((blocks * 512 < size))
    if [[ $type == [fl] ]]; then new["size/$path"]=$size; fi
  done < <(find "$1" -mindepth 1 -printf '%P\0%y\0%m\0%T@\0%l\0%s\0%n\0%b\0%U:%G\0' 2>/dev/null || true)
  while IFS= read -r -d '' path; do
    hash=${path%%  *}
    new["hash/${path#*  "$1"/}"]=$hash
  done < <(find "$1" -type f -exec sha256sum -z -- {} + 2>/dev/null || true)
}

# --- comparing ---

# reported PATH: whether the program said something about it, or about a folder with which it is missing. Names that
# have to be escaped are looked for by their longest part that does not.
reported() {
  local path=$1 part longest=''
  while IFS= read -r part; do
    if ((${#part} > ${#longest})); then longest=$part; fi
  done <<<"${path//[^ !#-&(-\[\]-\}~]/$'\n'}"
  if [[ $words == *"$longest"[^A-Za-z0-9._-]* ]]; then return 0; fi
  [[ $path == */* && -z ${new["type/${path%/*}"]:-} ]] && reported "${path%/*}"
}

# row TITLE GROUPS TYPES FIELDS [CONDITION [WORDS]]: of the entries of these groups and types for which the function
# CONDITION is true, how many came back with the same FIELDS? WORDS is what may be said about all of them at once.
row() {
  local groups=" $2 " types=$3 fields="type $4" condition=${5:-true} about=${6:-} path field same
  local all=0 kept=0 named=0 cell
  for path in "${paths[@]}"; do
    [[ $groups == *" ${path%%/*} "* && ${old["type/$path"]} == [$types] ]] || continue
    "$condition" "$path" || continue
    all=$((all + 1))
    same=yes
    for field in $fields; do
      [[ ${old["$field/$path"]-} == "${new["$field/$path"]-}" ]] || { same=$field && break; }
    done
    if [[ $same == yes ]]; then
      kept=$((kept + 1))
      continue
    fi
    if [[ -n $about && $words =~ $about ]] || { [[ $same == type ]] && reported "$path"; }; then
      named=$((named + 1))
      same+=', reported'
    fi
    printf '%s: %q (%s)\n' "$1" "$path" "$same" >>lost
  done
  case $named in
    0) cell='not reported' ;;
    $((all - kept))) cell=reported ;;
    *) cell="$named of $((all - kept)) reported" ;;
  esac
  if ((all == 0)); then cell=-
  elif ((kept == all)); then cell=all
  elif ((kept == 0)); then cell="none, $cell"
  else cell="$kept of $all, $cell"; fi
  add "$1" "$cell"
}

# add TITLE CELL
add() {
  [[ -n ${cells["$1"]:-} ]] || titles+=("$1")
  cells["$1"]+=" $2 |"
}

odd_name() { [[ $1 != nonutf8/utf8 && $1 == */* ]]; }
of_now() { ((${old["seconds/$1"]} >= 0 && ${old["seconds/$1"]} < 4294967296)); }
of_another_age() { ! of_now "$1"; }
with_nanoseconds() { [[ ${old["nanoseconds/$1"]} =~ [1-9] ]]; }
linked() { ((${old["links/$1"]} > 1)); }
holey() { ((${old["sparse/$1"]})); }
draft() { [[ ${1##*/} =~ ^\.shareit-[0-9a-f]{16}\.part$ ]]; }
with_special_bits() { ((${#old["mode/$1"]} == 4)); }
below_group() { [[ $1 == */* ]]; }

rows() {
  row "content of files" "content bits hard sparse" f "size hash"
  row "permission bits of files" bits f mode true 'permission bits'
  row "permission bits of folders" bits d mode below_group 'permission bits'
  row "setuid, setgid, sticky" setid fd mode with_special_bits 'setuid|sticky'
  row "what its owner may not read" closed fdl mode below_group
  row "times of files" times f seconds of_now
  row "times of folders" "times bits" d "seconds nanoseconds"
  row "times of links" times l "seconds nanoseconds"
  row "nanoseconds" times f nanoseconds with_nanoseconds
  row "before 1970, after 2106" times f seconds of_another_age
  row "symbolic links" "links outside" l target
  row "drafts of downloads" drafts f "size hash" draft
  row "empty folders" empty d mode true 'empty folder'
  row "hard links" hard fl links linked 'hard link'
  row "sparse files" sparse f sparse holey 'sparse files|holes'
  row "FIFOs, sockets" special ps "" true FIFO
  row "devices" special bc "" true devices
  row "owner and group" owner fdl owner below_group owners
  row "unusual names" names fd "size hash" below_group
  row "control characters in names" control fd "size hash" below_group 'control character'
  row "names that are not UTF-8" nonutf8 fdl "size hash" odd_name 'UTF-8'
  row "names of 249 to 255 bytes" long fd "size hash" below_group 'is longer than'
  row "folders named like pieces" pieces fd "size hash" below_group
  row "40 folders deep, long paths" deep fd "size hash" below_group 'is longer than'
}

# named_of_all: how many of all entries that did not come back at all the program named.
named_of_all() {
  local path all=0 named=0
  for path in "${paths[@]}"; do
    if [[ -z ${new["type/$path"]-} ]]; then
      all=$((all + 1))
      if reported "$path"; then named=$((named + 1)); fi
    fi
  done
  if ((all == 0)); then add "missing entries that are named" "none missing"
  else add "missing entries that are named" "$named of $all"; fi
}

# differences TITLE: the lines of diff, without those that say of two FIFOs or devices only that they are of one kind.
differences() {
  local lines
  lines=$(diff -r --no-dereference ../tree back/tree 2>&1 | grep -cvE ' is a (.*) while file .* is a \1$' || true)
  add "$1" "$lines"
}

# --- clean-up, whatever happens ---

work=$(mktemp -d "${TMPDIR:-/tmp}/shareit-keeps.XXXXXX")
cleanup() {
  local status=$?
  trap '' INT TERM HUP PIPE
  trap - EXIT
  for pid in "${pids[@]}"; do { kill -9 "$pid" && wait "$pid"; } 2>/dev/null || true; done
  cd /
  chmod -R u+rwx "$work" 2>/dev/null || true
  rm -rf "$work"
  exit "$status"
}
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 141' PIPE
trap 'exit 143' TERM

# --- all of it ---

[[ -z $details ]] || { mkdir -- "$details" && details=$(cd -- "$details" && pwd); }
if (($# > 0)); then programs=("$@"); fi
cd "$work"
bash "$repo/scripts/tree.sh" tree >/dev/null
declare -A new old cells
titles=()
read_tree tree
for key in "${!new[@]}"; do old["$key"]=${new["$key"]}; done
mapfile -d '' -t paths < <(cd tree && find . -mindepth 1 -printf '%P\0' 2>/dev/null | sort -z)

heading='| |' rule='|---|'
for program in "${programs[@]}"; do
  [[ -n ${calls[$program]:-} ]] || die "unknown program '$program'"
  if ! type -P "${calls[$program]}" >/dev/null; then
    echo "keeps: $program is missing (${calls[$program]})" >&2
    continue
  fi
  heading+=" $(version_of "$program") |" rule+='---|'
  mkdir "$program"
  cd "$program"
  if [[ $program == ShareIt ]]; then ShareIt_starts; fi
  stored=0 returned=0 again=0
  ("${program}_stores") >out 2>words </dev/null || stored=$?
  tail -n 1 out >>words
  ("${program}_returns") >out 2>>words </dev/null || returned=$?
  tail -n 1 out >>words
  words=$(<words)
  read_tree back/tree
  rows
  named_of_all
  differences "lines of diff -r"
  # Once more, over what is there: for an ordinary user a folder that forbids changes may be in the way.
  ("${program}_returns") >out 2>again </dev/null || again=$?
  differences "lines of diff -r after a second time"
  add "exit status: up, down, down again" "$stored, $returned, $again"
  if [[ -n $details ]]; then
    cat words again >"$details/$program.words"
    [[ ! -e lost ]] || cp lost "$details/$program.lost"
  fi
  cd ..
done
printf '%s\n' "$heading" "$rule"
for title in "${titles[@]}"; do printf '| %s |%s\n' "$title" "${cells["$title"]}"; done
