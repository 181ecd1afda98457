#!/usr/bin/env bash
# The demo, run by `make demo`: four servers in a temporary folder, on free ports, with a user of their own.
# It touches nothing else and leaves nothing behind, even if it is interrupted. It exits with 1 as soon as
# something is not as it says, so it is a test as well.
#
# DEMO_PAUSE      seconds before each step (2 on a terminal, otherwise 0), or `key` to wait for Enter
# DEMO_RECORD     absolute path of a file to which the protocol is recorded (scripts/replay.sh makes a page of it)
# SERVER, CLIENT  absolute paths of the programs, by default ./Server and ./Client
set -euo pipefail
export LC_ALL=C # grep must compare bytes, not characters
umask 077       # User1.conf has a password in it

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
server=${SERVER:-$repo/Server} client=${CLIENT:-$repo/Client}
user=Aditi
password=Aditi@123
sentence='I have the key, the key is mine,' # a line of TestFiles/poem.txt
pids=('' '' '' '' '')                       # by server number; 0 is unused
ports=('' '' '' '' '')
next_port=$((20000 + RANDOM % 10000)) # below the range for outgoing connections
step=0
record=${DEMO_RECORD:-}
trace=(${record:+--trace=json}) # what a recorded client is given

bold='' dim='' green='' red='' plain='' pause=${DEMO_PAUSE:-0}
if [[ -t 1 ]]; then
  pause=${DEMO_PAUSE:-2}
  if [[ -z ${NO_COLOR:-} ]]; then
    bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
  fi
fi

# --- output ---

heading() {
  if [[ $pause == key ]]; then
    read -r -p "${dim}  (Enter)${plain}" || true
  elif [[ $step -gt 0 ]]; then
    sleep "$pause"
  fi
  step=$((step + 1))
  printf '\n%s%s. %s%s\n' "$bold" "$step" "$1" "$plain"
  if [[ -n $record ]]; then printf '{"time":%s,"note":"%s. %s"}\n' "$EPOCHREALTIME" "$step" "$1" >>"$record"; fi
}
say() { printf '   %s\n' "$@"; }
ok() { printf '   %sok%s  %s\n' "$green" "$plain" "$1"; }
fail() {
  printf '   %snot as expected%s: %s\n' "$red" "$plain" "$1"
  for log in logs/*.log; do
    [[ ! -s $log ]] || { say "the end of $log:" && tail -n 3 "$log" | sed 's/^/       /'; }
  done
  exit 1
}
# Events are recorded, and the rest is shown.
indented() {
  if [[ -n $record ]]; then grep '^{' "$1" >>"$record" || true; fi
  sed '/^{/d; s/^/     /' "$1"
}

# run STATUS COMMAND...: shows the command and its output, and expects this exit status.
run() {
  local want=$1 got=0 shown
  shift
  shown=$(for word; do if [[ $word == *' '* ]]; then printf " '%s'" "$word"; else printf ' %s' "$word"; fi; done)
  printf '   %s$%s%s\n' "$dim" "$shown" "$plain"
  "$@" </dev/null >out 2>&1 || got=$?
  indented out
  [[ $got -eq $want ]] || fail "exit status $got, expected $want"
}
client() { run "$1" ./Client TestFiles User1.conf "${@:2}" ${trace[@]+"${trace[@]}"}; }

# --- the servers ---

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# start N PORT: true once the server listens, false if it ended (the port may just have been taken).
start() {
  local log=logs/Server$1.log
  : >"$log" # which may be read before the server's own process opens it
  ./Server ROOT "Server$1" "$2" </dev/null >"$log" 2>&1 &
  pids[$1]=$!
  for _ in {1..600}; do
    if grep -q 'listening on' "$log"; then return 0; fi
    if ! kill -0 "${pids[$1]}" 2>/dev/null; then
      pids[$1]=''
      return 1
    fi
    sleep 0.1
  done
  fail "Server$1 is not listening after a minute"
}

start_on_free_port() {
  for _ in {1..5}; do
    while answers "$next_port"; do next_port=$((next_port + 1)); done
    ports[$1]=$next_port
    next_port=$((next_port + 1))
    if start "$1" "${ports[$1]}"; then return 0; fi
  done
  fail "Server$1 did not start"
}

# Ends server N at once, without a chance to tidy up. The braces keep bash's own "Killed" off the screen.
kill_server() {
  if [[ -n ${pids[$1]} ]]; then
    { kill -9 "${pids[$1]}" && wait "${pids[$1]}"; } 2>/dev/null || true
    pids[$1]=''
  fi
}

# --- checks ---

# Downloads every file and folder of TestFiles with one client, which reads its commands from a file.
download_all() {
  local got=0
  rm -rf Downloads
  if [[ ! -e commands ]]; then
    for entry in TestFiles/*; do printf 'Download "%s"%s\n' "${entry##*/}" "${trace[*]:+ ${trace[*]}}"; done >commands
    run 0 cat commands
  fi
  printf '   %s$ ./Client TestFiles User1.conf < commands%s\n' "$dim" "$plain"
  ./Client TestFiles User1.conf <commands >out 2>&1 || got=$?
  indented out
  [[ $got -eq 0 ]] || fail "exit status $got, expected 0"
  compare_all
}

# Compares every file of Downloads with that of TestFiles, and their names.
compare_all() {
  (cd TestFiles && find . -type f | sort) >sent
  (cd "Downloads/$user" && find . -type f | sort) >returned
  cmp -s sent returned || fail "the list of downloaded files differs from that of TestFiles"
  while IFS= read -r file; do
    cmp -s "TestFiles/$file" "Downloads/$user/$file" || fail "$file came back with different bytes"
  done <sent
  ok "cmp: all $files files came back with the same bytes"
}

# absent WHAT TEXT: fails if a server has TEXT on its disk or in its log.
absent() {
  local status=0
  printf '   %s$ grep -rF "%s" ROOT logs%s\n' "$dim" "$2" "$plain"
  grep -rqF -- "$2" ROOT logs || status=$?
  [[ $status -eq 1 ]] || fail "$1 is on a server in plain text"
  ok "not found: $1"
}

# --- clean-up, whatever happens ---

work=$(mktemp -d "${TMPDIR:-/tmp}/shareit-demo.XXXXXX")
cleanup() {
  local status=$?
  trap '' INT TERM HUP PIPE
  trap - EXIT
  for n in 1 2 3 4; do kill_server "$n"; done
  cd / && rm -rf "$work"
  if [[ $status -ne 0 ]]; then echo "demo: stopped early; its servers and folder have been removed" >&2; fi
  exit "$status"
}
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 141' PIPE
trap 'exit 143' TERM

# --- the demo ---

for program in "$server" "$client"; do
  [[ -x $program ]] || { echo "demo: $program is missing: run make first" >&2 && exit 1; }
done
cd "$work"
ln -s "$server" Server
ln -s "$client" Client
cp -R "$repo/TestFiles" .
mkdir ROOT logs
files=$(find TestFiles -type f | wc -l | tr -d ' ')
folders=$(find TestFiles -type d | wc -l | tr -d ' ')
top_files=$(find TestFiles -maxdepth 1 -type f | wc -l | tr -d ' ')

printf '%sShareIt: %s files on four servers, any one of which may be lost, and in the end any two%s\n' "$bold" "$files" "$plain"

heading "Four servers and a user"
say "Each server is a separate process with its own folder. The servers know nothing of each other."
printf "   %s\$ printf '%s\\\\n' | ./Server adduser ROOT %s%s\n" "$dim" "$password" "$user" "$plain"
printf '%s\n' "$password" | ./Server adduser ROOT "$user" >out 2>&1 || { indented out && fail "adduser"; }
indented out
for n in 1 2 3 4; do
  start_on_free_port "$n"
  printf '   %s$ ./Server ROOT Server%s %s &%s\n' "$dim" "$n" "${ports[n]}" "$plain"
  grep -m 1 'listening on' "logs/Server$n.log" | sed 's/^/     /'
  echo "Server$n localhost:${ports[n]}" >>User1.conf
done
printf 'Username %s\nPassword %s\n' "$user" "$password" >>User1.conf
run 0 cat User1.conf

heading "Upload"
say "Every file is split into four pieces. The client encrypts each and sends it to two of the servers."
client 0 Upload .
ok "stored"

heading "One upload, line by line"
say "-> is a line to a server, <- is one from it, == ends a phase. Secrets and payloads are not shown."
client 0 Upload poem.txt --trace
grep -q '[ "]STAGE ' out && grep -q '[ "]COMMIT ' out || fail "no STAGE or no COMMIT in the trace"
ok "looked up, staged, committed"

heading "Who holds what"
client 0 ShowFiles
if grep -qF '[incomplete]' out; then fail "a file is incomplete while all servers are up"; fi
client 0 ShowFiles -l
say "The servers' side of it: each has two pieces of every file, and none has a whole file." \
  "A folder has pieces too: they contain its permissions and its time."
for n in 1 2 3 4; do
  held=$(find "ROOT/Server$n/$user" -type f | wc -l | tr -d ' ')
  say "  ROOT/Server$n/$user: $held files, among them $(cd "ROOT/Server$n/$user" && echo .poem.txt.?)"
  [[ $held -eq $((2 * (files + folders))) ]] || fail "Server$n holds $held files, expected $((2 * (files + folders)))"
done
ok "$files files and $folders folders, 4 pieces, 2 copies: $((8 * (files + folders))) files on four servers"

heading "One server dies"
printf '   %s$ kill -9 %s     # Server2%s\n' "$dim" "${pids[2]}" "$plain"
kill_server 2
client 0 ShowFiles
if grep -qF '[incomplete]' out; then fail "a file is incomplete though only one server is down"; fi
download_all

heading "Its neighbour dies too"
say "Both copies of one piece of every file were on these two servers." \
  "Without that piece no file can be rebuilt, and the client says so."
printf '   %s$ kill -9 %s     # Server3%s\n' "$dim" "${pids[3]}" "$plain"
kill_server 3
client 0 ShowFiles
marked=$(grep -cF '[incomplete]' out || true)
[[ $marked -eq $top_files ]] || fail "$marked files are marked [incomplete], expected $top_files"
ok "all $top_files files here are marked [incomplete]"
rm -rf Downloads
client 1 Download poem.txt
[[ ! -d Downloads || -z $(find Downloads -type f) ]] || fail "a refused download left a file behind"
ok "the download is refused (exit status 1), and no file is written"

heading "Both come back"
for n in 2 3; do
  printf '   %s$ ./Server ROOT Server%s %s &%s\n' "$dim" "$n" "${ports[n]}" "$plain"
  start "$n" "${ports[n]}" || fail "Server$n did not restart"
done
download_all

heading "A disk is lost, and repaired"
say "Server4's folder is wiped. Every piece that was there has one copy left; Repair makes the second one again."
printf '   %s$ rm -r ROOT/Server4/%s%s\n' "$dim" "$user" "$plain"
rm -r "ROOT/Server4/$user"
client 1 Verify -r
client 0 Repair -q
client 0 Verify -r
ok "every piece has both copies again; the client copied ciphertext and decrypted nothing"

heading "What someone who steals the disks can read"
grep -qF -- "$sentence" TestFiles/poem.txt || fail "the sentence to look for is not in TestFiles/poem.txt"
say "TestFiles/poem.txt has the line \"$sentence\""
absent "the line of the poem" "$sentence"
absent "the password" "$password"
piece=$(echo ROOT/Server1/"$user"/.poem.txt.? | cut -d ' ' -f 1)
say "The last bytes of $piece:"
tail -c 48 "$piece" | od -An -tx1 | sed 's/^ */     /'

heading "Any two of four"
say "With parity each server holds one piece and the XOR of two others: as much room as two copies take." \
  "Files that are uploaded from now on are stored so, and the ones here are uploaded again."
printf "   %s\$ echo 'Redundancy parity' >>User1.conf%s\n" "$dim" "$plain"
echo 'Redundancy parity' >>User1.conf
client 0 Upload -q .
for n in 1 2 3 4; do
  held=$(find "ROOT/Server$n/$user" -type f | wc -l | tr -d ' ')
  say "  ROOT/Server$n/$user: $held files, among them $(cd "ROOT/Server$n/$user" && echo .poem.txt.?)"
  [[ $held -eq $((2 * (files + folders))) ]] || fail "Server$n holds $held files, expected $((2 * (files + folders)))"
done
say "The same two neighbours die as before, when no file could be rebuilt."
printf '   %s$ kill -9 %s %s     # Server2 and Server3%s\n' "$dim" "${pids[2]}" "${pids[3]}" "$plain"
kill_server 2
kill_server 3
client 0 ShowFiles
if grep -qF '[incomplete]' out; then fail "a file is incomplete though only two servers are down"; fi
say "[degraded] 0: all of it can be rebuilt, but not if one more server is lost."
rm -rf Downloads
mapfile -t names < <(cd TestFiles && find * -type f | sort)
client 0 Download "${names[@]}"
compare_all
ok "any two of the four servers may be lost: what they held was made of what the other two hold"

heading "The end"
for n in 1 2 3 4; do kill_server "$n"; done
ok "everything worked, in $SECONDS seconds; the servers were stopped and their folder was removed"
