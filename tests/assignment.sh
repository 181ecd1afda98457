#!/usr/bin/env bash
# The classic assignment, graded: the scenarios by which a course's "Distributed File System" is usually marked,
# run with this program. docs/ASSIGNMENT.md says what is asked and where it is done.
#
#   tests/assignment.sh                     with ./Server and ./Client at the top, which `make` leaves there
#   tests/assignment.sh SERVER CLIENT       with others; or set the variables SERVER and CLIENT
#
# One line for each scenario, PASS or FAIL. The exit status is 1 if one failed, 2 if none could run. It works in a
# folder of its own and on free ports, and leaves no process and no file behind, even if it is interrupted.
set -euo pipefail
export LC_ALL=C # files are bytes, not characters
umask 077       # a dfc.conf has a password in it

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
server=$(realpath -m "${1:-${SERVER:-$top/Server}}")
client=$(realpath -m "${2:-${CLIENT:-$top/Client}}")
for program in "$server" "$client"; do
  [[ -f $program && -x $program ]] || { echo "assignment.sh: no program $program: run make first" >&2 && exit 2; }
done

servers=(DFS1 DFS2 DFS3 DFS4)
declare -A pid port # by server

# --- grading ---

number=0 # of the scenario
failed=0 # how many have
title=''
complaints='' # about this scenario

# scenario TITLE: ends the one before, and begins another.
scenario() {
  conclude
  number=$((number + 1))
  title=$1
  complaints=''
}

conclude() {
  if [[ $number -eq 0 ]]; then return; fi
  if [[ -z $complaints ]]; then
    printf 'PASS %2d. %s\n' "$number" "$title"
  else
    printf 'FAIL %2d. %s\n%s' "$number" "$title" "$complaints"
    failed=$((failed + 1))
  fi
}

complain() { complaints+="         $1"$'\n'; }

# check WHAT COMMAND...: complains of WHAT unless the command is true.
check() { "${@:2}" || complain "$1"; }

# --- the assignment's client ---

# dfc FOLDER COMMAND...: one command in a user's folder, with the dfc.conf there. Its exit status is then in status,
# and what it printed in the files out and err.
dfc() {
  asked="$1: ${*:2}"
  status=0
  (cd "$1" && exec "$client" files dfc.conf "${@:2}") </dev/null >out 2>err || status=$?
}
list() { dfc "$1" ShowFiles "${@:2}"; }
put() { dfc "$1" Upload "${@:2}"; }
get() {
  rm -rf "$1/Downloads"
  dfc "$1" Download "${@:2}"
}

# exits STATUS: the expected exit status of the last command.
exits() {
  [[ $status -eq $1 ]] || complain "$asked: exit status $status, expected $1: $(tail -n 2 err | tr '\n' ' ')"
}

# prints LINE...: its expected output, these lines and no others.
prints() {
  [[ $(<out) == "$(printf '%s\n' "$@")" ]] || complain "$asked: printed '$(tr '\n' '|' <out)', expected '$*'"
}

# got FOLDER FILE...: files that must have come back as they were put. The folder is the user's name in lower case.
got() {
  local file
  for file in "${@:2}"; do
    check "$1: $file did not come back the same" cmp -s "$1/files/$file" "$1/Downloads/${1^}/$file"
  done
}

# launch NAME FOLDER CONF COMMAND...: runs a client beside others. Its output is in NAME.out and NAME.err.
declare -A launched
launch() {
  (cd "$2" && exec "$client" files "$3" "${@:4}") </dev/null >"$1.out" 2>"$1.err" &
  launched[$1]=$!
}

# joined STATUS: waits for all that were launched; each must exit with this.
joined() {
  local name
  for name in "${!launched[@]}"; do
    status=0
    wait "${launched[$name]}" || status=$?
    [[ $status -eq $1 ]] || complain "$name: exit status $status, expected $1: $(tail -n 2 "$name.err" | tr '\n' ' ')"
  done
  launched=()
}

# --- the assignment's servers ---

# start NAME...: starts servers, each on a free port, waits until all listen, and writes the users' dfc.conf.
start() {
  local name line from
  for name; do
    mkfifo "log/$name.pipe"
    "$server" dfs "$name" 0 </dev/null >"log/$name.pipe" 2>&1 &
    pid[$name]=$!
  done
  for name; do
    port[$name]=''
    # A server that ends closes its pipe, so there is no need to poll.
    exec {from}<"log/$name.pipe"
    rm "log/$name.pipe"
    while [[ -z ${port[$name]} ]] && read -r -t 60 -u "$from" line; do
      printf '%s\n' "$line" >>"log/$name"
      if [[ $line == 'listening on '* ]]; then port[$name]=${line##*:}; fi
    done
    if [[ -z ${port[$name]} ]]; then
      echo "assignment.sh: $name did not start: $(tail -n 1 "log/$name" 2>/dev/null)" >&2
      exit 2
    fi
    cat <&"$from" >>"log/$name" &
    exec {from}<&-
  done
  write_conf Alice SimplePassword >alice/dfc.conf
  write_conf Bob ComplexPassword >bob/dfc.conf
}

# stop NAME...: ends servers without a chance to tidy up. The braces keep bash's own "Killed" off the screen.
stop() {
  local name
  for name; do
    { kill -9 "${pid[$name]}" && wait "${pid[$name]}"; } 2>/dev/null || true
  done
}

# write_conf USER PASSWORD: a dfc.conf as the assignment has it.
write_conf() {
  local name
  for name in "${servers[@]}"; do echo "Server $name 127.0.0.1:${port[$name]}"; done
  printf 'Username: %s\nPassword: %s\n' "$1" "$2"
}

# files_on NAME: how many files of any kind are in a server's folder, at any depth.
files_on() { find "dfs/$1" -type f | wc -l; }

# places FILE: which pieces of Alice's file are on DFS1 to DFS4, as in '1,2 2,3 3,4 1,4'.
places() {
  local name pairs=()
  for name in "${servers[@]}"; do
    pairs+=("$(find "dfs/$name" -path "*/Alice/.$1.[0-9]" | sed 's/.*\.//' | sort | paste -sd ,)")
  done
  echo "${pairs[*]}"
}

# hidden TEXT: true if no server holds it in a file or has it in its log.
hidden() {
  local found=0
  grep -rqF -- "$1" dfs/DFS? log/DFS? || found=$?
  [[ $found -eq 1 ]]
}

# --- clean-up, whatever happens ---

work=$(mktemp -d "${TMPDIR:-/tmp}/shareit-assignment.XXXXXX")
cleanup() {
  local result=$? children
  trap '' HUP INT PIPE TERM
  trap - EXIT
  mapfile -t children < <(jobs -p) # all that was started is a child of this shell
  { kill -9 "${children[@]}" || true; wait; } 2>/dev/null
  cd / && rm -rf "$work"
  exit "$result"
}
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 141' PIPE
trap 'exit 143' TERM

# --- what is there at the start ---

# binary FOLDER FILE SIZE: a file of random bytes.
binary() { head -c "$3" /dev/urandom >"$1/files/$2"; }

cd "$work"
mkdir -p log dfs {alice,bob}/files dfc{1,2,3,4}/files
printf '%s\n' 'Alice SimplePassword' 'Bob ComplexPassword' >dfs/Users.conf # the assignment's dfs.conf
declare -A sizes=([zero.bin]=0 [one.bin]=1 [three.bin]=3 [four.bin]=4 [five.bin]=5 [odd.bin]=1000003)
for file in "${!sizes[@]}"; do binary bob "$file" "${sizes[$file]}"; done
binary alice photo.bin 1048576
binary alice sound.bin 300001
sentence='To be, or not to be, that is the question'
for _ in {1..1000}; do echo "$sentence"; done >bob/files/hamlet.txt

# --- the scenarios ---

scenario 'four servers, DFS1 to DFS4, with the users of a dfs.conf; a new user has no files'
start "${servers[@]}"
list alice; exits 0; prints

scenario 'four servers: put and get of two binary files'
for file in photo.bin sound.bin; do
  put alice "$file"; exits 0
  get alice "$file"; exits 0; got alice "$file"
done

scenario 'four servers: list has both names, and no mark beside them'
list alice; exits 0; prints photo.bin sound.bin

scenario 'after two puts there are exactly four files, all of them pieces, on each server'
for name in "${servers[@]}"; do
  check "$name holds $(files_on "$name") files" [ "$(files_on "$name")" -eq 4 ]
  check "$name has other files than pieces" [ "$(find "dfs/$name" -path '*/Alice/.*.bin.[1-4]' | wc -l)" -eq 4 ]
done

scenario 'the pairs are where the table has them, in the row x = HASH(name) mod 4'
table=('1,2 2,3 3,4 1,4' '1,4 1,2 2,3 3,4' '3,4 1,4 1,2 2,3' '2,3 3,4 1,4 1,2') # for x = 0, 1, 2, 3
for file in photo.bin sound.bin; do
  last_digit=$(printf '%s' "$file" | sha256sum | cut -c 64) # enough of the number to know it mod 4
  row=${table[16#$last_digit % 4]}
  check "$file is at '$(places "$file")', expected '$row'" [ "$(places "$file")" = "$row" ]
done

scenario 'files of 0, 1, 3, 4, 5 and 1,000,003 bytes come back the same'
for file in "${!sizes[@]}"; do
  put bob "$file"; exits 0
  get bob "$file"; exits 0; got bob "$file"
done

scenario 'subfolders: put into one, list it, get from it'
put bob three.bin papers/old; exits 0
list bob papers; exits 0; prints old/
list bob papers/old; exits 0; prints three.bin
get bob three.bin papers/old; exits 0
check 'it did not come back the same' cmp -s bob/files/three.bin bob/Downloads/Bob/papers/old/three.bin

scenario 'traffic optimisation: get takes each byte from one server only'
get alice --trace photo.bin; exits 0
bytes=$(($(sed -n 's/.* <- DFS[1-4] DATA //p' err | paste -sd +))) # of four pieces, each with a table of hashes
check "$bytes bytes came for a file of 1048576" [ $((bytes / 1024)) -eq 1024 ]

scenario 'encryption: neither a line of a text nor the password can be found on a server or in its log'
put bob hamlet.txt; exits 0
check 'a line of the text is' hidden "$sentence"
check 'the password is' hidden ComplexPassword

scenario 'server 4 stopped: list has both files, get returns both'
stop DFS4
list alice; exits 0; prints 'photo.bin [degraded]' 'sound.bin [degraded]'
for file in photo.bin sound.bin; do get alice "$file"; exits 0; got alice "$file"; done

scenario 'servers 2 and 4 stopped: list has both files, get returns both'
stop DFS2
list alice; exits 0; prints 'photo.bin [degraded]' 'sound.bin [degraded]'
for file in photo.bin sound.bin; do get alice "$file"; exits 0; got alice "$file"; done

scenario "servers 2, 3 and 4 stopped: list and get have the name and 'incomplete' on one line, and no file is made"
stop DFS3
list alice; exits 0; prints 'photo.bin [incomplete]' 'sound.bin [incomplete]'
for file in photo.bin sound.bin; do
  get alice "$file"; exits 1
  check "get does not say that $file is incomplete" grep -q "$file.*incomplete" err
  check "get wrote something for $file" [ -z "$(find alice/Downloads -type f 2>/dev/null)" ]
done

scenario 'all servers stopped: every command says so'
stop DFS1
list alice; exits 4
put alice photo.bin; exits 4
get alice photo.bin; exits 4

scenario 'all servers back: four clients in four folders get at once'
start "${servers[@]}"
for n in 1 2 3 4; do
  cp alice/dfc.conf "dfc$n"
  launch "get $n" "dfc$n" dfc.conf Download photo.bin
done
joined 0
for n in 1 2 3 4; do
  check "dfc$n: photo.bin did not come back the same" cmp -s alice/files/photo.bin "dfc$n/Downloads/Alice/photo.bin"
done

scenario 'put while server 4 is stopped; then it is back and server 1 is stopped: get still returns the file'
stop DFS4
put bob odd.bin; exits 0
start DFS4
stop DFS1
get bob odd.bin; exits 0; got bob odd.bin
start DFS1

scenario 'a server that hangs is passed over within seconds'
kill -STOP "${pid[DFS4]}"
begin=$SECONDS
get alice photo.bin; exits 0; got alice photo.bin
check "it took $((SECONDS - begin)) seconds" [ $((SECONDS - begin)) -lt 15 ]
kill -CONT "${pid[DFS4]}"

# refused CONF: every command, and the prompt, exits with status 3 and one message, and prints nothing else. They all run
# at once, since a server waits a moment before it refuses.
refused() {
  local line words lines=(ShowFiles 'Upload photo.bin' 'Download photo.bin' 'Delete photo.bin' 'Move photo.bin new.bin'
    Verify Repair Status Passwd '')
  rm -rf alice/Downloads
  for line in "${lines[@]}"; do
    read -r -a words <<<"$line"
    launch "${line:-prompt}" alice "$1" "${words[@]}"
  done
  joined 3
  for line in "${lines[@]}"; do
    line=${line:-prompt}
    check "$line: says '$(<"$line.err")'" grep -qx 'Client: error: Invalid username or password' "$line.err"
    check "$line: prints '$(<"$line.out")'" [ ! -s "$line.out" ]
  done
  check 'something was downloaded' [ ! -e alice/Downloads ]
  list alice; exits 0; prints photo.bin sound.bin
  get alice .; exits 0; got alice photo.bin sound.bin
}

scenario 'bad password: every command is refused and changes nothing'
write_conf Alice WrongPassword >alice/badpassword.conf
refused badpassword.conf

scenario 'bad user: every command is refused in the same words and changes nothing'
write_conf Mallory SimplePassword >alice/baduser.conf
refused baduser.conf
check 'there is a folder for Mallory' [ -z "$(find dfs -name '*Mallory*')" ]

scenario 'ten rounds of put all, get all, compare: two users at once, with different files of the same names'
rm -r bob/files && mkdir bob/files
dfc bob Delete -r papers; exits 0
dfc bob Delete hamlet.txt; exits 0
for round in {1..10}; do
  for who in alice bob; do
    for file in "${!sizes[@]}" photo.bin sound.bin; do binary "$who" "$file" $((${sizes[$file]:-100000} + round)); done
    rm -rf "$who/Downloads"
    launch "$who, round $round, put all" "$who" dfc.conf Upload .
  done
  joined 0
  for who in alice bob; do launch "$who, round $round, get all" "$who" dfc.conf Download .; done
  joined 0
  for who in alice bob; do
    diff -rq "$who/files" "$who/Downloads/${who^}" >differences 2>&1 ||
      complain "$who, round $round: $(head -n 1 differences)"
  done
done

conclude
if [[ $failed -gt 0 ]]; then
  echo "$failed of $number scenarios failed"
  exit 1
fi
echo "all $number scenarios passed in $SECONDS seconds"
