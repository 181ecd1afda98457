#!/usr/bin/env bash
# Makes a Debian package of programs that are built already, by dpkg-deb alone: scripts/deb.sh FOLDER
#
# SERVER and CLIENT are the programs, by default ./Server and ./Client. A package of static ones depends on nothing.
# Exits with 77 if this machine has no dpkg-deb.
set -euo pipefail
export LC_ALL=C
umask 022

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
server=$(realpath "${SERVER:-$repo/Server}") client=$(realpath "${CLIENT:-$repo/Client}")
out=$(realpath "${1:?usage: scripts/deb.sh FOLDER}")

command -v dpkg-deb >/dev/null || { echo "deb: skipped: dpkg-deb is missing" && exit 77; }
for program in "$server" "$client"; do
  [[ -x $program ]] || { echo "deb: $program is missing: run make first" >&2 && exit 1; }
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/shareit
make --no-print-directory -s -C "$repo" install-files \
  DESTDIR="$root" PREFIX=/usr BINDIR=/usr/bin DATADIR=/usr/share MANDIR=/usr/share/man ZSHCOMPDIR=/usr/share/zsh/vendor-completions \
  UNITDIR=/usr/lib/systemd/system USERUNITDIR=/usr/lib/systemd/user SERVER="$server" CLIENT="$client"
for program in "$root"/usr/bin/*; do
  strip "$program" 2>/dev/null || true # smaller, no more
done
find "$root/usr/share/man" -type f -exec gzip -9n {} +

documents=$root/usr/share/doc/shareit
mkdir -p "$documents"
gzip -9nc "$repo/CHANGELOG.md" >"$documents/changelog.gz"
gzip -9nc "$repo/docs/DEPLOY.md" >"$documents/DEPLOY.md.gz"
{
  printf 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: ShareIt\n\n'
  printf 'Files: *\nCopyright: %s\nLicense: Expat\n' "$(sed -n 's/^Copyright (c) //p' "$repo/LICENSE")"
  sed '1,/^Copyright/d' "$repo/LICENSE" | sed -e '1{/^$/d}' -e 's/^$/./' -e 's/^/ /'
} >"$documents/copyright"

field() { sed -n "s/^$1 = \"\(.*\)\"/\1/p" "$repo/Cargo.toml" | head -n 1; }

# The C library of this machine or a later one, and the library with which panics unwind.
depends=passwd
# Not through a pipe: its end may come before that of ldd, which then fails.
libraries=$(ldd "$root/usr/bin/shareit-server" 2>/dev/null || true)
if [[ $libraries == *libc.so* ]]; then
  newest=$(grep -haoE 'GLIBC_2\.[0-9]+' "$root"/usr/bin/* | sort -uV | tail -n 1)
  depends="libc6 (>= ${newest#GLIBC_}), libgcc-s1, $depends"
fi

mkdir "$root/DEBIAN"
cat >"$root/DEBIAN/control" <<CONTROL
Package: shareit
Version: $(field version)
Architecture: $(dpkg --print-architecture)
Maintainer: ${DEBFULLNAME:-The ShareIt authors} <${DEBEMAIL:-shareit@localhost}>
Installed-Size: $(du -k -s --apparent-size "$root/usr" | cut -f 1)
Depends: $depends
Section: net
Priority: optional
Description: encrypted files on a few plain servers, any of which can be lost
 The client cuts each file into four pieces, encrypts and seals them with keys
 that no server ever sees, and stores each piece on two servers. Any one server
 can die, be stolen or lie, and every byte still comes back.
 .
 This package has the client, shareit, and the server, shareit-server, with a
 systemd unit that is not enabled. shareit(1) and shareit-server(8) begin to
 explain them; /usr/share/doc/shareit/DEPLOY.md.gz has the whole way.
CONTROL

cat >"$root/DEBIAN/postinst" <<'POSTINST'
#!/bin/sh
set -e
if [ "$1" = configure ]; then
  if ! getent passwd shareit >/dev/null; then
    useradd --system --user-group --home-dir /var/lib/shareit --shell /usr/sbin/nologin shareit
  fi
  # What is there stays, and so does whoever may read it.
  [ -e /var/lib/shareit ] || install -d -o shareit -g shareit -m 700 /var/lib/shareit
  if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
    # Servers that run get the new program, one after another by whoever looks at Status in between: see DEPLOY.md.
  fi
fi
POSTINST
cat >"$root/DEBIAN/prerm" <<'PRERM'
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
  systemctl stop 'shareit@*.service' || true
fi
PRERM
cat >"$root/DEBIAN/postrm" <<'POSTRM'
#!/bin/sh
set -e
# /var/lib/shareit has users' files: not even a purge removes it, nor the user to whom it belongs.
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload || true
fi
POSTRM
chmod 755 "$root"/DEBIAN/p*
(cd "$root" && find usr -type f -print0 | sort -z | xargs -0 md5sum >DEBIAN/md5sums)

package=$out/shareit_$(field version)_$(dpkg --print-architecture).deb
dpkg-deb --root-owner-group --build "$root" "$package" >/dev/null
echo "$package"
