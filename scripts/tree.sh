#!/usr/bin/env bash
# Makes a folder with everything that a home folder can have, and always the same: tree.sh FOLDER [GROUP...].
# FOLDER must not exist. Each group is a folder in it, and without GROUP all of them are made. Standard output has a
# line for each group that ShareIt does not store as it is, with the reason; standard error says what could not be made.
#
# Devices and files of other users need root, and a socket needs perl or python3. What the file system cannot hold
# is changed by it: ext4 moves times before 1901 and after 2446 to these limits.
#
# To remove it as an ordinary user: chmod -R u+rwx FOLDER && rm -r FOLDER
set -euo pipefail
export LC_ALL=C TZ=UTC # names are bytes
umask 022

groups=(content bits setid closed empty links outside times names control long pieces deep drafts nonutf8 hard sparse special owner)

# Why ShareIt leaves something out of a group. It keeps all of any other group.
declare -A reasons=(
  [setid]="setuid, setgid and sticky bits are not stored"
  [drafts]="drafts of a download are not stored"
  [long]="names of more than 252 bytes, counting escapes, are not stored"
  [deep]="paths of more than 1024 bytes are not stored"
  [nonutf8]="names that are not UTF-8 are not stored"
  [hard]="hard links come back as files of their own"
  [sparse]="holes come back as zeros"
  [special]="FIFOs, sockets and devices are not stored"
  [owner]="owners and groups are not stored"
)
[[ $EUID -eq 0 ]] || reasons[closed]="its user may not read it"

missing() { echo "tree: not made: $1" >&2; }

# file PATH [MODE]: with its own name as content. PATH may begin with a dash.
file() {
  printf '%s\n' "$1" >"./$1"
  [[ -z ${2:-} ]] || modes+=("$2" "$1")
}
folder() {
  mkdir -p "./$1"
  [[ -z ${2:-} ]] || modes+=("$2" "$1")
}
link() { ln -s -- "$1" "./$2"; }

# repeat TEXT N: prints TEXT, N times.
repeat() {
  local text
  printf -v text "%$2s" ''
  printf '%s' "${text// /$1}"
}

# --- the groups; each runs in its own folder ---

content() {
  local size
  seq 100000 >"$scratch"
  for size in {0..17} 255 256 4095 4096 4097 65535 65536 65537 262143 262144 262145; do
    head -c "$size" "$scratch" >"$size"
  done
  head -c 100000 /dev/zero >zeros
  printf 'a\0b\r\nc\377' >binary
}

# Names tell what is expected.
bits() {
  local mode
  for mode in 400 444 600 640 644 660 664 666 700 711 750 755 775 777; do file "file-$mode" "$mode"; done
  printf '#!/bin/sh\necho hello\n' >script
  modes+=(755 script)
  for mode in 500 555 700 711 750 755 770 775 777; do
    folder "folder-$mode" "$mode"
    file "folder-$mode/inside"
  done
  folder "empty-700" 700
  folder "empty-555" 555
  folder .ssh 700
  file .ssh/id_rsa 600
}

setid() {
  local mode
  for mode in 4755 2755 1644 6755 7777; do file "file-$mode" "$mode"; done
  for mode in 1777 2775 7755; do
    folder "folder-$mode" "$mode"
    file "folder-$mode/inside"
  done
}

closed() {
  file file-000 000
  file file-200 200
  folder folder-000 000
  file folder-000/inside
  # A walk that follows links must not take what it cannot read for a loop.
  folder a/secret 000
  file a/open
  link a b
}

empty() {
  folder alone
  folder nested/a/b/c
  folder beside/empty
  file beside/file
  folder .hidden
}

links() {
  file target
  folder folder
  file folder/inside
  folder loop
  link target to-file
  link folder to-folder
  link folder/ to-folder-with-slash
  link ./folder/../target roundabout
  link to-file to-link
  link nowhere dangling
  link /nowhere/at/all dangling-absolute
  link /etc/passwd absolute
  link . here
  link .. up
  link itself itself
  link loop-b loop-a
  link loop-a loop-b
  link ../loop loop/again
  link 'target with spaces' 'name with spaces'
  link $'line\nfeed' to-line-feed
  link $'caf\xe9' to-not-utf8
  link %2F to-percent
  link target .like-a-piece.1
  link /proc/version proc-version # says that it has 0 bytes, and has more
  link /dev/null device
  link "$(repeat x 4095)" longest-target # no system has longer ones
  link "$(repeat folder/../ 408)folder/./inside" longest-path
}

# Apart from the others, because whoever follows these gets the whole machine.
outside() {
  link / root
  link ../../../../../../../../../.. far-up
  link /proc/self proc
}

times() {
  local seconds
  # The last times of the 32-bit clocks are among them, and leap days.
  local plain=(0 1 951782400 1709164800 1000000000 2147483647 2147483648 4294967295)
  # The first and last times of ext4, and, where a file system has them, years -1, 0, 1582 and 9999.
  local far=(-1 -315619200 -2147483648 4294967296 4323456789 15032385535)
  local beyond=(-62198755200 -62167219200 -12219292800 253402300799)
  for seconds in "${plain[@]}" "${far[@]}" "${beyond[@]}"; do
    file "at$seconds"
    stamps+=("@$seconds" "at$seconds")
  done
  for seconds in 1000000000.000000001 1000000000.1 1000000000.123456789 1000000000.999999999 -0.5 -315619200.123456789; do
    file "at$seconds"
    stamps+=("@$seconds" "at$seconds")
  done
  for seconds in 951782400 1000000000.123456789 -315619200.5; do
    folder "folder-at$seconds"
    file "folder-at$seconds/inside"
    folder "empty-at$seconds"
    link nowhere "link-at$seconds"
    stamps+=("@$seconds" "folder-at$seconds" "@$seconds" "empty-at$seconds" "@$seconds" "link-at$seconds")
  done
}

# both NAME...: a file and a folder of each name.
both() {
  local name
  mkdir files folders
  for name; do
    file "files/$name"
    folder "folders/$name"
    file "folders/$name/inside"
  done
}

names() {
  both ' ' ' before' 'after ' 'in the middle' "quote's" 'double"quote' '"quoted"' 'back\slash' 'back\' '\n' '\x41' \
    '100%25.txt' '%2F' '%2f' '%' '%%' '%0A' '%zz' '%41' 'a%' 'a+b' \
    -l -- - -rf --help -n '*' '?' '[a-z]' '**' '!' '#' '# comment' '~' '~root' '$HOME' '$(id)' '`id`' '{a,b}' 'a;b' 'a|b' \
    'a&b' 'a<b>' 'a:b' 'a=b' '@' '^' ',' "''" '(a)' '...' '.a' 'a.' '..a' '.. ' 'Name' 'name' 'NAME' 'con' 'nul.txt' \
    'Server1' 'Users.conf' '[incomplete]' 'a [degraded]' \
    $'caf\xc3\xa9' $'cafe\xcc\x81' $'\xc3\x84' $'\xe2\x84\xab' $'\xc3\x85' $'\xc4\xb0' $'\xc4\xb1' $'stra\xc3\x9fe' 'strasse' \
    $'\xe6\x97\xa5\xe6\x9c\xac' $'\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d' $'\xf0\x9f\x98\x80' \
    $'\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x9a\x80' $'zero\xe2\x80\x8bwidth' $'right\xe2\x80\xaeleft' $'\xef\xbb\xbfmark' \
    $'no\xc2\xa0break' $'soft\xc2\xadhyphen' $'line\xe2\x80\xa8separator' $'\xef\xbf\xbd' $'private\xee\x80\x80' \
    $'\xef\xbf\xbf' $'last\xf4\x8f\xbf\xbf' $'zalgo\xcc\x80\xcc\x81\xcc\x82\xcc\x83\xcc\x84'
}

control() {
  both $'tab\there' $'line\nfeed' $'\nfirst' $'last\n' $'carriage\rreturn' $'escape\e[31mred' $'bell\a' $'one\x01' \
    $'delete\x7f' $'next\xc2\x85line'
}

# Some of these would be too long as soon as a character is escaped.
long() {
  both "$(repeat a 249)" "$(repeat b 250)" "$(repeat c 251)" "$(repeat d 252)" "$(repeat e 253)" "$(repeat f 254)" \
    "$(repeat g 255)" "$(repeat $'\xc3\xa9' 127)" "$(repeat $'\xf0\x9f\x98\x80' 63)" "$(repeat % 252)" "$(repeat % 255)" \
    "$(repeat $'\t' 252)" "$(repeat $'\n' 251)z" ".$(repeat h 249).1" ".$(repeat i 252).1"
}

# What looks like a piece on a server's disk, or like one of a server's own files.
pieces() {
  local name
  for name in .gradle.8 .txt.1 .x.4 .own .piece.10 '.%2F.1' ..1 .1 ...1 staged lock tombstones; do
    folder "$name"
    file "$name/x"
  done
  folder .empty.1
  folder deep/.a.1/.b.2/.c.3
  file deep/.a.1/.b.2/.c.3/.d.4
  folder both
  for name in x .x.1 .x.2 .x.3 .x.4 .x.5 .x.0 ..x.1.1 ..1 .1 ..2 .%2F.2 .own .x; do file "both/$name"; done
  folder beside/x
  for name in x/inside .x.1 .x.4; do file "beside/$name"; done
}

deep() {
  local n path=down
  for n in {1..40}; do path+=/$n; done
  folder "$path"
  for n in 28 29 30 31 32 33; do file "${path%%/$((n + 1))/*}/file"; done
  file "$path/file"
  # Paths that are longer than 1024 bytes, and nearly as long as the system permits.
  path=$(repeat "$(repeat l 200)/" 6)
  folder "$path"
  file "${path}file"
  path=$(repeat "$(repeat m 240)/" 15)
  folder "$path"
  file "${path}file"
}

drafts() {
  file .shareit-0123456789abcdef.part
  folder below
  file below/.shareit-fedcba9876543210.part
  # These are none.
  file .shareit-notes.part
  file shareit-0123456789abcdef.part
  file .shareit-0123456789abcdef.part.txt
  folder .shareit-00000000000000ff.part
  file .shareit-00000000000000ff.part/inside
}

nonutf8() {
  file utf8
  file $'latin1-caf\xe9'
  file $'cut-\xc3'
  file $'surrogate-\xed\xa0\x80'
  file $'overlong-\xc0\xaf'
  file $'beyond-\xf4\x90\x80\x80'
  folder $'folder-\xff'
  file $'folder-\xff/inside'
  folder $'empty-\xfe'
  link utf8 $'link-\xfe'
}

hard() {
  file first
  ln first second
  folder below
  ln first below/third
  file other
  ln other .other
  link first link
  ln -P link same-link
}

sparse() {
  printf begin >hole-in-the-middle
  truncate -s 8M hole-in-the-middle
  printf end >>hole-in-the-middle
  truncate -s 1M only-a-hole
}

special() {
  file file
  mkfifo fifo
  if command -v perl >/dev/null; then
    perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0) && bind(S, sockaddr_un("socket")) or die "$!\n"' ||
      missing "special/socket"
  elif command -v python3 >/dev/null; then
    python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("socket")' || missing "special/socket"
  else
    missing "special/socket, which needs perl or python3"
  fi
  if [[ $EUID -ne 0 ]]; then
    missing "special/null and special/block, which need root"
  else
    mknod null c 1 3 2>/dev/null || missing "special/null"
    mknod block b 7 255 2>/dev/null || missing "special/block"
  fi
  link fifo to-fifo
}

owner() {
  if [[ $EUID -ne 0 ]]; then
    missing "owner, which needs root"
    return
  fi
  file file
  folder folder
  file folder/inside
  link file link
  chown -h 1:2 file link
  chown 12345:23456 folder/inside folder
}

# --- all of them ---

top=${1:-}
if [[ -z $top ]]; then
  echo "usage: $0 FOLDER [GROUP...]" >&2
  echo "groups: ${groups[*]}" >&2
  exit 2
fi
shift
for group; do
  [[ " ${groups[*]} " == *" $group "* ]] || { echo "tree: no group '$group'; there are ${groups[*]}" >&2 && exit 2; }
done
[[ $# -eq 0 ]] || groups=("$@")

mkdir -- "$top"
cd -- "$top"
scratch=$(mktemp)
trap 'rm -f "$scratch"' EXIT

all_modes=() all_stamps=()
for group in "${groups[@]}"; do
  modes=() stamps=()
  mkdir "$group"
  cd "$group"
  "$group"
  cd ..
  for ((i = 0; i < ${#modes[@]}; i += 2)); do all_modes+=("${modes[i]}" "$group/${modes[i + 1]}"); done
  for ((i = 0; i < ${#stamps[@]}; i += 2)); do all_stamps+=("${stamps[i]}" "$group/${stamps[i + 1]}"); done
  [[ -z ${reasons[$group]:-} ]] || printf '%s\t%s\n' "$group" "${reasons[$group]}"
done

# Times first: what has no permission bits cannot be reached any more. Each entry gets one, or it would be today's.
find . -depth -exec touch -h -d '2024-02-29 12:34:56 UTC' -- {} +
for ((i = 0; i < ${#all_stamps[@]}; i += 2)); do touch -h -d "${all_stamps[i]}" "${all_stamps[i + 1]}"; done
# From the end, so that a folder is closed after what is in it.
for ((i = ${#all_modes[@]} - 2; i >= 0; i -= 2)); do chmod "${all_modes[i]}" "./${all_modes[i + 1]}"; done
