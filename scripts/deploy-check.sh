#!/usr/bin/env bash
# Follows docs/DEPLOY.md on hosts made of namespaces; the end of that page says what is real about them and what is
# not. The commands are the page's: each of its boxes has a name and is read from there, and a box that is not
# followed is an error.
#
# Exits with 0 if everything is as the page says, 1 if not, 77 if this machine does not permit it.
# SERVER and CLIENT are the programs, by default ./Server and ./Client.
set -euo pipefail
export LC_ALL=C PATH=$PATH:/usr/sbin:/sbin

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
page=$repo/docs/DEPLOY.md
server=$(realpath "${SERVER:-$repo/Server}") client=$(realpath "${CLIENT:-$repo/Client}")
net=192.168.77 # of the page

skip() {
  echo "deploy-check: skipped: $1"
  exit 77
}

# --- everything happens in namespaces, which end with this script together with all that is in them ---

if [[ ${1:-} != inside ]]; then
  for program in "$server" "$client"; do
    [[ -x $program ]] || { echo "deploy-check: $program is missing: run make first" >&2 && exit 1; }
  done
  for tool in unshare nsenter setpriv ip chroot useradd make tar; do
    command -v "$tool" >/dev/null || skip "$tool is missing"
  done
  own=(unshare --mount --net --pid --fork --kill-child --mount-proc)
  if [[ $EUID -ne 0 ]] || ! "${own[@]}" true 2>/dev/null; then skip "not permitted to make namespaces"; fi
  SERVER=$server CLIENT=$client exec "${own[@]}" bash "${BASH_SOURCE[0]}" inside
fi

[[ $$ -eq 1 ]] || { echo "deploy-check: inside is only for the script itself" >&2 && exit 2; }
# The first process of its namespace does not get signals that it does not trap.
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# --- output ---

step=0
heading() {
  step=$((step + 1))
  printf '\n%s. %s\n' "$step" "$1"
}
ok() { printf '   ok  %s\n' "$1"; }
fail() {
  printf '   not as expected: %s\n' "$1"
  for log in "$world"/*/root/var/log/shareit@*.log; do
    [[ ! -s $log ]] || { echo "   the end of $log:" && tail -n 3 "$log" | sed 's/^/       /'; }
  done
  exit 1
} >&2

# --- the hosts ---

# Memory, mounted where only this script sees it, over a folder that has neither the sources nor the programs.
world=''
for place in /mnt /media /srv; do
  if [[ -d $place && "$repo/ $server/ $client/" != *"$place/"* ]]; then world=$place; fi
done
[[ -n $world ]] || skip "no folder to mount memory over"
mount -t tmpfs tmpfs "$world" 2>/dev/null || skip "not permitted to mount"
ip link set lo up
ip link add lan type bridge 2>/dev/null || skip "no network bridges here"
ip link set lan up

# on HOST COMMAND...: as if typed there, in the home folder of root.
on() {
  local host=$1
  shift
  nsenter --net="$world/$host/net" chroot "$world/$host/root" /usr/bin/env -i \
    HOME=/root PATH=/run/check:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C CARGO=true \
    bash -c 'cd && exec "$@"' bash "$@"
}

# host NAME NUMBER: an empty machine at that address, which replaces any of that name.
host() {
  local name=$1 own root folder
  own=$(mktemp -d "$world/.$name.XXXXXX")
  ln -sfn "$own" "$world/$name"
  root=$own/root
  mkdir "$own/upper" "$own/work" "$root"
  mount -t overlay overlay -o "lowerdir=/,upperdir=$own/upper,workdir=$own/work" "$root" 2>/dev/null ||
    skip "no overlay file systems here"
  for folder in dev proc; do mount --rbind "/$folder" "$root/$folder"; done
  for folder in run tmp root var/lib var/log; do mount -t tmpfs tmpfs "$root/$folder"; done
  mkdir "$root/run/check"
  tools "$root/run/check"
  touch "$own/net"
  unshare --net="$own/net" true
  # The same card at the same address: with another, neighbours would look for the old one for a while.
  ip link add "port$2" type veth peer name eth0 address "02:00:00:00:00:$2" netns "$own/net"
  ip link set "port$2" master lan up
  on "$name" ip link set lo up
  on "$name" ip addr add "$net.${2#0}/24" dev eth0
  on "$name" ip link set eth0 up
  on "$name" bash -c 'command -v make tar useradd setpriv' >/dev/null || skip "this system is spread over several file systems"
}

# drop_all HOST: a firewall that lets nobody in. False without nftables.
drop_all() {
  on "$1" nft -f - 2>/dev/null <<'RULES'
table inet filter {
  chain input {
    type filter hook input priority 0; policy drop;
    iif lo accept
    ct state established,related accept
  }
}
RULES
}

# tools FOLDER: the commands of the page that a namespace does not have.
tools() {
  cat >"$1/sudo" <<'SUDO'
#!/bin/sh
if [ "$1" = -u ]; then
  user=$2
  shift 2
  exec setpriv --reuid="$user" --regid="$user" --init-groups "$@"
fi
exec "$@"
SUDO
  cat >"$1/scp" <<'SCP'
#!/bin/sh
# scp FILE HOST: leaves it here; this script delivers it.
mkdir "/run/check/${2%:}" && cp "$1" "/run/check/${2%:}/"
SCP
  cat >"$1/ufw" <<'UFW'
#!/bin/sh
# ufw allow from NET to any port PORT proto tcp
[ "$*" = "allow from $3 to any port $7 proto tcp" ] || exit 2
nft list chain inet filter input >/dev/null 2>&1 || exit 0 # nothing is dropped here
exec nft add rule inet filter input ip saddr "$3" tcp dport "$7" accept
UFW
  cat >"$1/journalctl" <<'JOURNALCTL'
#!/bin/sh
# journalctl -u UNIT -n LINES
exec tail -n "$4" "/var/log/$2.log"
JOURNALCTL
  cat >"$1/systemctl" <<'SYSTEMCTL'
#!/usr/bin/env bash
# As much of systemctl as is needed to run ExecStart of an instance of a unit as its User. Unlike systemd it waits for
# the line that says that the server is ready: without that, the next command would have to be tried again until then.
set -euo pipefail
case "$1 ${2:-}" in
  "daemon-reload ") exit 0 ;;
  "enable --now") action=start instance=$3 ;;
  "start $2" | "stop $2" | "restart $2") action=$1 instance=$2 ;;
  *) exit 2 ;;
esac
name=${instance#*@} log=/var/log/$instance.log pid=/run/$instance.pid
unit=/usr/local/lib/systemd/system/${instance%@*}@.service
value() { sed -n "s/^$1=//p" "$unit" | sed "s/%i/$name/g"; }
if [[ $action != start && -e $pid ]]; then
  kill "$(cat "$pid")"
  for _ in {1..3000}; do
    kill -0 "$(cat "$pid")" 2>/dev/null || break
    sleep 0.02
  done
  rm "$pid"
fi
[[ $action != stop ]] || exit 0
declare "$(value Environment)"
file=$(value EnvironmentFile)
[[ ! -e ${file#-} ]] || declare "$(cat "${file#-}")"
command=$(value ExecStart)
: >"$log"
umask "$(value UMask)"
cd /
# shellcheck disable=SC2086 # the words of the command
setpriv --reuid="$(value User)" --regid="$(value Group)" --init-groups ${command/'${LISTEN}'/$LISTEN} \
  </dev/null >>"$log" 2>&1 &
echo "$!" >"$pid"
for _ in {1..3000}; do
  ! grep -q 'listening on' "$log" || exit 0
  kill -0 "$!" 2>/dev/null || break
  sleep 0.02
done
cat "$log" >&2
exit 1
SYSTEMCTL
  chmod 755 "$1"/*
}

# --- the page ---

# box NAME: the text of a box.
box() {
  awk -v name="$1" '/^```/ { inside = !inside && $2 == name; found += inside; next } inside
    END { if (found != 1) exit 1 }' "$page" || fail "the page has not one box '$1'"
}

followed=' '
# follow HOST BOX [SED]: runs the commands of a box there, with standard input, in $folder or at home.
follow() {
  local where=$1 name=$2 commands got=0
  followed+="$name "
  commands=$(box "$name" | sed "${3:-}")
  printf '%s\n' "$commands" | sed "s/^/   $where\$ /"
  on "$where" bash -euo pipefail -c "cd '${folder:-.}' && $commands" >"$world/out" 2>&1 || got=$?
  sed 's/^/     /' "$world/out"
  [[ $got -eq 0 ]] || fail "exit status $got"
}

# expect STATUS HOST COMMAND...
expect() {
  local want=$1 where=$2 got=0
  shift 2
  printf '   %s$ %s\n' "$where" "$*"
  on "$where" "$@" >"$world/out" 2>&1 </dev/null || got=$?
  sed 's/^/     /' "$world/out"
  [[ $got -eq $want ]] || fail "exit status $got, expected $want"
}

# Turns what the page has for Server1 into the same for another server.
as() { echo "s/Server1/Server$1/g"; }

# set_up N: the page from an empty machine to one that serves.
set_up() {
  cp "$world/client/root/run/check/$net.1$1/shareit.tar.gz" "$world/Server$1/root/root/"
  follow "Server$1" server </dev/null
  follow "Server$1" adduser <<<'correct horse battery staple'
  follow "Server$1" firewall </dev/null
  follow "Server$1" start "$(as "$1")" </dev/null
}

# Downloads everything, and compares it byte for byte.
download_all() {
  local where=$1
  on "$where" rm -rf Downloads
  follow "$where" restore </dev/null
  diff -r "$repo/TestFiles" "$world/$where/root/root/Downloads/Aditi" || fail "downloaded files differ"
  ok "every file came back with the same bytes"
}

off_the_network() { ip link set "port$1" down; }
status_has() { grep -q "^$1" "$world/out" || fail "no line that begins with: $1"; }
prints_nothing() { [[ ! -s $world/out ]] || fail "it printed something"; }

# --- from top to bottom ---

for n in 1 2 3 4; do host "Server$n" "1$n"; done
host client 02

heading "Build and pack"
sources=$world/client/root/root/shareit
mkdir -p "$sources/target/release"
cp -r "$repo"/{Cargo.toml,Cargo.lock,Makefile,src,man,dist} "$sources"
# Without debugging information, which would be packed and sent nine times.
strip -o "$sources/target/release/Server" "$server" 2>/dev/null || cp "$server" "$sources/target/release/Server"
strip -o "$sources/target/release/Client" "$client" 2>/dev/null || cp "$client" "$sources/target/release/Client"
folder=shareit follow client build </dev/null
folder=shareit follow client send </dev/null

heading "Set up each server"
firewalls=1
for n in 1 2 3 4; do drop_all "Server$n" || firewalls=0; done
[[ $firewalls -eq 1 ]] || echo "   the firewall is skipped: no nftables here"
for n in 1 2 3 4; do set_up "$n"; done
follow Server1 log </dev/null
status_has 'listening on 0.0.0.0:8008'
if [[ $firewalls -eq 1 ]]; then
  on client ip addr add 192.168.78.2/24 dev eth0
  on Server1 ip addr add 192.168.78.11/24 dev eth0
  on client bash -c ': </dev/tcp/192.168.77.11/8008' || fail "the firewall keeps out those who need the port"
  ! on client timeout 1 bash -c ': </dev/tcp/192.168.78.11/8008' 2>/dev/null || fail "the firewall lets in everybody"
  ok "the firewall lets in 192.168.77.0/24, and not 192.168.78.0/24"
fi

heading "The first upload"
cp -r "$repo/TestFiles" "$world/client/root/root/papers"
followed+='home.conf '
box home.conf >"$world/client/root/root/home.conf"
follow client key </dev/null
follow client upload </dev/null
[[ $(grep -c ': up,' "$world/out") -eq 4 ]] || fail "not four servers up"
download_all client
for n in 1 2 3 4; do
  [[ $(stat -c %U:%a "$world/Server$n/root/var/lib/shareit/Users.conf" 2>/dev/null) == *:600 ]] || fail "Users.conf"
done

heading "The user's machine is stolen"
host laptop 03
cp "$world"/client/root/usr/local/bin/shareit "$world/laptop/root/usr/local/bin/"
cp "$world/client/root/root/home.conf" "$world/laptop/root/root/"
download_all laptop

heading "Watching"
followed+='status verify '
status=$(box status | cut -d ' ' -f 7-) verify=$(box verify | cut -d ' ' -f 7-)
expect 1 client sh -c "$status" # grep's: no line matches
prints_nothing
expect 0 client sh -c "$verify"
prints_nothing
units=/usr/local/lib/systemd/user
if on client sh -c 'command -v systemd-analyze' >/dev/null; then
  for unit in shareit-{verify,repair}@home.{service,timer} shareit-failed@x.service; do
    expect 0 client env XDG_RUNTIME_DIR=/run systemd-analyze --user --man=no verify "$units/$unit"
    prints_nothing
  done
  expect 0 Server1 systemd-analyze --man=no verify shareit@Server1.service
  prints_nothing
fi
# run WHAT UNIT: that line of a unit, as systemd would run it for home.conf.
run() { sed -n "s/^$1=//p" "$world/client/root$units/$2" | sed 's|%h|/root|g; s|%i|home|g'; }
expect 0 client sh -c "$(run ExecStart shareit-verify@.service)"
expect 0 client sh -c "$(run ExecCondition shareit-repair@.service)"
expect 0 client sh -c "$(run ExecStart shareit-repair@.service)"

heading "A server is down for a while"
off_the_network 12
expect 0 client sh -c "$status"
status_has 'Server2: down'
expect 1 client sh -c "$verify"
expect 1 client sh -c "$(run ExecCondition shareit-repair@.service)"
expect 0 client sh -c 'printf "Upload poem.txt again\nDelete page.html\n" | shareit papers home.conf'
ip link set port12 up
follow client repair </dev/null
status_has 'page.html: delete completed on Server2'
expect 0 client sh -c 'printf "Upload page.html\nDelete -r again\n" | shareit papers home.conf'

heading "A machine is lost"
off_the_network 13
ip link delete port13
host Server3 13
! drop_all Server3 || ok "an empty machine, with its firewall closed"
set_up 3
follow client repair </dev/null
status_has 'poem.txt: piece . copied from .* to Server3'
off_the_network 14
download_all client
ip link set port14 up

heading "A machine moves"
on Server2 ip addr del "$net.12/24" dev eth0
on Server2 ip addr add "$net.22/24" dev eth0
follow client readdress </dev/null
status_has 'Server2: up'

heading "New versions"
on client sh -c 'until [ -e upgraded ]; do
  printf "Upload .\n%.0s" 1 2 3 4 5 | shareit papers home.conf || exit
  echo "five uploads done"
done' >"$world/uploads" 2>&1 &
uploads=$!
for n in 1 2 3 4; do
  follow "Server$n" upgrade "$(as "$n")" </dev/null
  follow client upgraded </dev/null
  [[ $(grep -c ': up,' "$world/out") -eq 4 ]] || fail "not four servers up"
done
on client touch upgraded
wait "$uploads" || { cat "$world/uploads" && fail "an upload failed"; }
sort "$world/uploads" | uniq -c
follow client repair </dev/null
ok "files were uploaded the whole time, and no upload failed"

heading "A fifth machine"
host Server5 15
! drop_all Server5 || ok "an empty machine, with its firewall closed"
expect 0 client scp shareit/shareit.tar.gz "$net.15:"
set_up 5
follow client grow </dev/null
[[ $(grep -c ': up,' "$world/out") -eq 5 ]] || fail "not five servers up"
! grep -q copied "$world/out" || fail "Repair moved something"
status_has 'Server5: up, .* 0 pieces'
follow client spread </dev/null
! grep -q 'Server5:-' "$world/out" || fail "a file has no piece on Server5"
off_the_network 11
download_all client

heading "The whole page"
while read -r name; do
  [[ $followed == *" $name "* ]] || fail "the box '$name' was not followed"
done < <(sed -n 's/^```[a-z]\{1,\} //p' "$page")
ok "every box of the page was followed, in $SECONDS seconds"
