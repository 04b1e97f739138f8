#!/bin/bash
# PID 1 of a user-mode Linux guest whose root is the host's own / through hostfs. The runner
# (harness/kernel.py) passes KSCRIPT and KWD on the kernel's command line, from where they arrive as
# environment. What a script writes below KWD lands on the host; /dev, /proc, /sys, /run and /mnt
# are the guest's own.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C DM_DISABLE_UDEV=1
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /mnt
mountpoint -q /dev || mount -t devtmpfs dev /dev
ln -sfn /proc/self/fd /dev/fd
echo 4 >/proc/sys/kernel/printk

# The package keeps its modules under /usr/lib/uml; modprobe wants PREFIX/lib/modules.
mkdir -p /run/modroot/lib
ln -s /usr/lib/uml/modules /run/modroot/lib/modules
load_module() { modprobe -d /run/modroot "$@" || echo "modprobe $* failed"; }
export -f load_module

echo GUEST-BEGIN
cd "$KWD" || echo "no folder $KWD"
load_module dm-thin-pool
bash "$KSCRIPT"
echo "GUEST-END $?"
sync
echo o >/proc/sysrq-trigger
sleep 10
