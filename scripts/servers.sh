#!/usr/bin/env bash
# Starts and stops the four servers that User1.conf to User3.conf name: servers.sh start|stop.
# The log of Server1 is Servers/Server1.log, and its pid is kept in Servers/.Server1.pid.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Prints the command line of a process, or nothing if it has ended. Not every system has ps.
command_of() {
  if [[ -d /proc/self ]]; then
    { tr '\0' ' ' <"/proc/$1/cmdline"; } 2>/dev/null || true
  else
    ps -o args= -p "$1" || true
  fi
}

# Sets pid to the pid noted for server $1 on port $2. True if that process is running and is still this server
# of this folder: the system reuses pids, and a folder may have been copied with its pid files.
running() {
  pid=$(cat "Servers/.$1.pid" 2>/dev/null) && [[ $pid =~ ^[0-9]+$ ]] || return 1
  [[ "$(command_of "$pid") " == "./Server Servers $1 $2 "* ]] || return 1
  [[ ! -e /proc/$pid/cwd || /proc/$pid/cwd -ef . ]]
}

# True if something listens on port $1 of this machine.
answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

start() {
  local name=$1 port=$2 log=Servers/$1.log pid
  if running "$name" "$port"; then
    echo "$name is already running on port $port (pid $pid)"
    return 0
  fi
  if answers "$port"; then
    echo "$name not started: port $port is taken by another program" >&2
    return 1
  fi
  nohup ./Server Servers "$name" "$port" </dev/null >"$log" 2>&1 &
  pid=$!
  echo "$pid" >"Servers/.$name.pid"
  for _ in {1..600}; do
    if grep -q 'listening on' "$log"; then
      echo "$name is listening on port $port (pid $pid, log $log)"
      return 0
    fi
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  echo "$name not started on port $port; the end of $log:" >&2
  tail -n 5 "$log" | sed 's/^/    /' >&2
  kill "$pid" 2>/dev/null || true
  rm -f "Servers/.$name.pid"
  return 1
}

stop() {
  local name=$1 port=$2 pid
  if running "$name" "$port"; then
    kill "$pid"
    for _ in {1..50}; do
      running "$name" "$port" || break
      sleep 0.1
    done
    if running "$name" "$port"; then kill -9 "$pid"; fi
    echo "$name stopped (pid $pid)"
  else
    echo "$name was not running"
  fi
  rm -f "Servers/.$name.pid"
}

action=${1:-}
if [[ $action != start && $action != stop ]]; then
  echo "usage: $0 start|stop" >&2
  exit 2
fi

mkdir -p Servers
failed=0
while read -r name port; do
  if [[ $action == start ]]; then
    start "$name" "$port" || failed=1
  else
    stop "$name" "$port" || failed=1
  fi
done <<'SERVERS'
Server1 8008
Server2 8080
Server3 8800
Server4 8880
SERVERS
exit "$failed"
