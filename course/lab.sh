#!/usr/bin/env bash
# A laboratory for the chapters: four servers on free ports in a folder of its own, and a shell there. All of it is gone
# when you leave.
#
#   course/lab.sh              a shell, with ./Server and ./Client at the top, which `make` leaves there
#   course/lab.sh SCRIPT       runs a script there instead of a shell
#
# In it:
#   shareit COMMAND...    runs the client; what it uploads is in files/
#   start N... stop N...  starts servers that are stopped, stops them without a chance to tidy up
#   where NAME            which pieces each server has of a file
#   talk N                sends standard input to a server, and prints what it answers
#   crash NAME            uploads a file, and kills the client in the middle
#   dfs_start N... dfs_stop N... dfc COMMAND...    the same for the programs of level 1
#
# LEVEL1 is the folder of your level 1 (dfs.py and dfc.py, or executables dfs and dfc), EXERCISES that of your
# exercises. By default they are the solutions, or if those were not handed out, handout/python and exercises.
set -euo pipefail
export LC_ALL=C

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
SERVER=$(realpath -m "${SERVER:-$top/Server}")
CLIENT=$(realpath -m "${CLIENT:-$top/Client}")
export SERVER CLIENT
script=${1:+$(realpath "$1")}
for program in "$SERVER" "$CLIENT"; do
  [[ -x $program ]] || { echo "lab.sh: no program $program: run make first" >&2 && exit 2; }
done

LAB=$(mktemp -d "${TMPDIR:-/tmp}/shareit-lab.XXXXXX")
export LAB
# An address of its own, so that a server that was stopped finds its port free.
ADDRESS=127.$((RANDOM % 254 + 1)).$((RANDOM % 254 + 1)).$((RANDOM % 254 + 1))
export ADDRESS
cleanup() {
  local file
  for file in "$LAB"/run/*.pid; do
    if [[ -e $file ]]; then kill -9 "$(<"$file")" 2>/dev/null || true; fi
  done
  cd / && rm -rf "$LAB"
}
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# running PID-FILE: whether the process in it lives.
running() { [[ -e $1 ]] && kill -0 "$(<"$1")" 2>/dev/null; }

start() {
  local n log address
  for n; do
    log=$LAB/run/$n.log
    if running "$LAB/run/$n.pid"; then echo "$n is already running" >&2 && return 1; fi
    : >"$log"
    address=$ADDRESS:$(cat "$LAB/run/$n.port" 2>/dev/null || echo 0)
    # An interactive shell would report the job on standard error.
    { "$SERVER" "$LAB/servers" "Server$n" "$address" </dev/null >"$log" 2>&1 & } 2>/dev/null
    echo $! >"$LAB/run/$n.pid"
    disown $! # so that the shell does not report its end
  done
  for n; do await "$n" || return; done
}

# await N: waits until a program that was started listens, and notes its port.
await() {
  until grep -q '^listening on' "$LAB/run/$1.log"; do
    if ! running "$LAB/run/$1.pid"; then
      { echo "$1 did not start" && cat "$LAB/run/$1.log"; } >&2
      return 1
    fi
    sleep 0.02
  done
  sed -n 's/^listening on .*://p' "$LAB/run/$1.log" >"$LAB/run/$1.port"
}

stop() {
  local n pid
  for n; do
    if ! running "$LAB/run/$n.pid"; then echo "$n is not running" >&2 && return 1; fi
    pid=$(<"$LAB/run/$n.pid")
    kill -9 "$pid"
    while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
    rm "$LAB/run/$n.pid"
  done
}

shareit() { "$CLIENT" files user.conf "$@"; }

where() {
  local n numbers
  for n in 1 2 3 4; do
    numbers=$(
      cd "$LAB/servers/Server$n" &&
        find "Aditi/$(dirname "$1")" -maxdepth 1 -name ".${1##*/}.[0-9]" 2>/dev/null | sed 's/.*\.//' | sort
    )
    # shellcheck disable=SC2086 # numbers, one word each
    echo "Server$n:" ${numbers:-none}
  done
}

talk() {
  python3 -c '
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as server:
    try:
        while data := sys.stdin.buffer.read1():
            server.sendall(data)
        server.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # it has heard enough
    while data := server.recv(65536):
        sys.stdout.buffer.write(data)
' "$ADDRESS" "$(<"$LAB/run/$1.port")"
}

# crash NAME: uploads a file slowly, and kills the client as soon as a server has begun to store a piece of it.
crash() {
  local client
  { "$CLIENT" files user.conf Upload -q --limit 128K "$1" >/dev/null 2>&1 & } 2>/dev/null
  client=$!
  disown "$client"
  until compgen -G "$LAB/servers/.Server?/staged/Aditi/*" >/dev/null; do
    kill -0 "$client" 2>/dev/null || { echo "the upload ended first" && return 1; }
    sleep 0.02
  done
  kill -9 "$client"
}

# level1 PROGRAM ARGUMENT...: runs dfs or dfc.
level1() {
  local program=$LEVEL1/$1
  if [[ -e $program.py ]]; then exec python3 -B "$program.py" "${@:2}"; else exec "$program" "${@:2}"; fi
}

dfs_start() {
  local n log port
  for n; do
    log=$LAB/run/dfs$n.log
    if running "$LAB/run/dfs$n.pid"; then echo "dfs$n is already running" >&2 && return 1; fi
    : >"$log"
    port=$(cat "$LAB/run/dfs$n.port" 2>/dev/null || echo 0)
    { level1 dfs "$LAB/DFS$n" "$port" </dev/null >"$log" 2>&1 & } 2>/dev/null
    echo $! >"$LAB/run/dfs$n.pid"
    disown $!
  done
  for n; do await "dfs$n" || return; done
  for n in 1 2 3 4; do
    if [[ -e $LAB/run/dfs$n.port ]]; then echo "Server DFS$n 127.0.0.1:$(<"$LAB/run/dfs$n.port")"; fi
  done >"$LAB/dfc.conf"
}

dfs_stop() { stop "${@/#/dfs}"; }

dfc() { (level1 dfc "$LAB/dfc.conf" "$@"); }
export -f running start await stop shareit where talk crash level1 dfs_start dfs_stop dfc

# either FOLDER OTHER: the first of the course's folders, or the other one if it was not handed out.
either() { if [[ -d $top/course/$1 ]]; then echo "$top/course/$1"; else echo "$top/course/$2"; fi; }
LEVEL1=$(realpath -m "${LEVEL1:-$(either solution/python handout/python)}")
EXERCISES=$(realpath -m "${EXERCISES:-$(either solution/exercises exercises)}")
export LEVEL1 EXERCISES

cd "$LAB"
mkdir -p run servers files
umask 077
# Few rounds of PBKDF2 and a key: this laboratory is for looking, and nothing in it is secret.
cat >servers/Users.conf <<'USERS'
Aditi SCRAM-SHA-256$4096:QWRpdGkncyBzYWx0$B3gQkvUzlD33B50MT13moD+HLH580rD8dPA5VLTcXLE=:TFkCsCBt+/HG6NpU3WCMluhxgx6lZRh6qUroU9H8BZ8=
USERS
cp "$top"/TestFiles/*.* files/
touch -d '2026-01-02 03:04:05Z' files/* # so that what is listed is the same each time
start 1 2 3 4
{
  for n in 1 2 3 4; do echo "Server$n $ADDRESS:$(<"run/$n.port")"; done
  printf '%s\n' 'Username Aditi' 'Password Aditi@123' 'MinIterations 4096' \
    'Key 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f'
} >user.conf

if [[ -n $script ]]; then
  bash "$script"
else
  echo "four servers are up in $LAB; leave with exit"
  bash --norc -i
fi
