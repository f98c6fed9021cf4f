#!/bin/sh
# Behind the installation or upgrade of a package: the user, the configuration's group, the service.
# dpkg calls it with `configure` and the version before, rpm with the number of versions installed now.
set -e

case $1 in
configure) [ -z "$2" ] && first=1 || first= ;;
[0-9]*) [ "$1" = 1 ] && first=1 || first= ;;
*) exit 0 ;;
esac

getent group inferscope >/dev/null || groupadd --system inferscope
getent passwd inferscope >/dev/null || useradd --system --gid inferscope --home-dir /nonexistent --no-create-home \
	--shell /usr/sbin/nologin --comment "Inferscope agent" inferscope
chgrp inferscope /etc/inferscope/inferscope.yaml

[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
if [ -n "$first" ]; then
	systemctl enable --quiet inferscope.service
	verb=start
else
	verb=try-restart
fi
systemctl "$verb" inferscope.service || echo "inferscope does not start: see \`inferscope check\` and \`systemctl status inferscope\`"
