#!/bin/sh
# Behind the removal of a package. The user stays: files may belong to it. `install.sh --uninstall --purge` removes it.
set -e

if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
if [ "$1" = purge ]; then rm -rf /etc/inferscope /var/log/inferscope; fi
