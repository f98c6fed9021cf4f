#!/bin/busybox sh
# The first process: loads modules, mounts both disks and hands over to systemd.
#
# The second disk is a test's. Its folder `units` becomes the transient units of systemd, so that the first disk is a plain
# Debian; all of it is to be seen in /mnt.
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t devtmpfs dev /dev
for module in /modules/*.ko; do
	[ ! -e "$module" ] || $b insmod "$module"
done
$b mount -t ext4 /dev/vda /debian && $b mount -t ext4 -o ro /dev/vdb /debian/mnt || {
	echo "initramfs: no disks"
	$b poweroff -f
}
# systemd keeps what is mounted there.
$b mount -t tmpfs -o mode=755 run /debian/run
$b mkdir -p /debian/run/systemd
$b cp -r /debian/mnt/units /debian/run/systemd/system
$b umount /proc
$b mount -o move /dev /debian/dev
exec $b switch_root /debian /lib/systemd/systemd
