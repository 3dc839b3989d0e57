#!/bin/sh
# engine.sh ROOT WORK CHECKOUT: run dockerd with ROOT as its root folder, in the mount namespace that
# `unshare --mount` made. WORK and CHECKOUT keep their paths. pivot_root and not chroot: `docker exec` and health checks
# enter the root of the mount namespace.
set -eu
root=$1
work=$2
checkout=$3
mount --bind "$root" "$root"
mkdir -p "$root/proc" "$root/sys" "$root/dev" "$root/run" "$root/old" "$root$work" "$root$checkout"
mount --rbind /proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mkdir -p "$root/run/lock"
mount --bind "$work" "$root$work"
mount --bind "$checkout" "$root$checkout"
cd "$root"
pivot_root . old
cd /
umount -l /old
exec /usr/sbin/dockerd --host "unix://$work/docker.sock" --data-root /var/lib/docker --exec-root /run/docker \
    --pidfile /run/docker.pid --storage-driver overlay2 --exec-opt native.cgroupdriver=cgroupfs \
    --bip 172.30.0.1/24 --default-address-pool base=172.30.128.0/17,size=24
