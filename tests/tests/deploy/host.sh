#!/bin/sh
# A Debian host of its own: a layer over the root that `cargo xtask setup --packaging` made, in a mount namespace that
# ends with this process. Process ids are the machine's, as the agent needs them.
#
#   host.sh ROOT PLACE INIT     PLACE becomes the host's file system; INIT is `systemd` or `none`
#
# systemd runs as root's user manager, because only process 1 may be the system's. It gets the system's units and
# socket, so `systemctl` and every setting of a unit work as on a host. Of cgroups it has a tree of its own.
set -eu

root=$1 place=$2 init=$3
mount -t tmpfs none "$place"
mkdir "$place/upper" "$place/work" "$place/host"
mount -t overlay overlay -o "lowerdir=$root,upperdir=$place/upper,workdir=$place/work" "$place/host"
cd "$place/host"
mount -t proc proc proc
mount --rbind /dev dev
mount -t sysfs sys sys
mount -t tracefs nodev sys/kernel/tracing
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs none run

if [ "$init" = none ]; then
	touch run/ready
	exec sleep infinity
fi
group=sys/fs/cgroup/inferscope-deploy-$$
mkdir -p "$group" run/systemd/system
# What is to be read of a service's output when a test fails.
printf '[Manager]\nDefaultStandardOutput=inherit\n' >etc/systemd/user.conf
touch run/ready
# As the system's: services of other users write to its socket.
umask 0
# A group of its own, so that only this script is told when the test ends.
setsid sh -c 'echo $$ >'"$group"'/cgroup.procs && exec chroot . /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
	XDG_RUNTIME_DIR=/run XDG_CONFIG_HOME=/var SYSTEMD_UNIT_PATH=/etc/systemd/system:/usr/lib/systemd/user:/usr/lib/systemd/system \
	SYSTEMD_LOG_TARGET=console /lib/systemd/systemd --user --unit=basic.target' &
systemd=$!
trap : TERM
# Until the signal. systemd stops its services before it ends; what has not ended by then is killed.
wait "$systemd" || true
kill "$systemd" 2>/dev/null || true
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	kill -0 "$systemd" 2>/dev/null || break
	sleep 0.3
done
[ ! -e "$group/cgroup.kill" ] || echo 1 >"$group/cgroup.kill"
for _ in 1 2 3 4 5; do
	find "$group" -depth -type d -exec rmdir {} + 2>/dev/null && break
	sleep 0.2
done
