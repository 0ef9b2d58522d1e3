#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Uses a release on other systems: Debian before and after the one that it was made on, and one that
# is a static busybox and nothing else. Needs root, mmdebstrap, bubblewrap and a Debian mirror.
#
# usage: other_systems.sh TARBALL [NAME=ROOT-FOLDER]...   (more systems; they are not changed)
set -eu
tarball=$(readlink -f "$1")
shift
here=$(readlink -f "$(dirname "$0")")
work=$(mktemp -d /var/tmp/volt-release-XXXXXX)
trap 'rm -rf --one-file-system "$work"' EXIT
status=0

# use NAME ROOT-FOLDER [BWRAP-OPTION]...
use() {
  name=$1
  root=$2
  shift 2
  # A world of its own, in which root may do what root may: what it mounts goes away with it.
  if bwrap --unshare-pid --unshare-net --cap-add ALL --ro-bind "$root" / --proc /proc --dev /dev \
    --tmpfs /tmp --tmpfs /opt --tmpfs /root --ro-bind "$tarball" /tmp/volt.tar.gz \
    --ro-bind "$here/first_hour.sh" /tmp/first_hour.sh --clearenv --setenv PATH /usr/bin:/bin \
    --setenv HOME /root "$@" /bin/sh /tmp/first_hour.sh >"$work/said" 2>&1; then
    echo "ok      $name: $(tail -n 1 "$work/said")"
  else
    echo "FAILED  $name"
    sed 's/^/  /' "$work/said"
    status=1
  fi
}

mkdir "$work/busybox"
cd "$work/busybox"
mkdir dev opt proc root tmp
# Its package would replace the system's own busybox.
apt-get --quiet --quiet download busybox-static 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
dpkg-deb -x busybox-static_*.deb unpacked
mv unpacked/bin bin
rm -r unpacked busybox-static_*.deb
for applet in $(bin/busybox --list); do
  [ "$applet" = busybox ] || ln -s busybox "bin/$applet"
done
cd /
use busybox "$work/busybox"

for suite in bullseye trixie; do
  mmdebstrap --quiet --variant=minbase "$suite" "$work/$suite" >"$work/log" 2>&1 ||
    { cat "$work/log" >&2; exit 1; }
  # Some systems load something into every program. A newer system's does not fit our libc.
  echo /lib/x86_64-linux-gnu/libacl.so.1 >"$work/$suite/etc/ld.so.preload"
  use "Debian $suite" "$work/$suite"
  rm -rf --one-file-system "${work:?}/$suite"
done

for system in "$@"; do
  use "${system%%=*}" "${system#*=}"
done
exit "$status"
