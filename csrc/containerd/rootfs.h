/* The container's root file system, as containerd's snapshotter describes it. */
#ifndef CONTAINERD_ROOTFS_H
#define CONTAINERD_ROOTFS_H

#include "wire.h"

/* Mounts one upon the other at `target`. NULL, or an error to be freed; what has been mounted then
 * stays for rootfs_unmount(). `mounts` are containerd.types.Mount, and are changed. */
char *rootfs_mount(struct spans mounts, const char *target);

/* All that is mounted there and below. 0, or -1 with errno. */
int rootfs_unmount(const char *target);

#endif
