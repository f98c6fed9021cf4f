#!/bin/sh
# Before a package goes. dpkg calls it with `remove` or `upgrade`, rpm with the number of versions that remain.
set -e

case $1 in
remove | 0) ;;
*) exit 0 ;;
esac
[ -d /run/systemd/system ] || exit 0
systemctl disable --quiet --now inferscope.service
