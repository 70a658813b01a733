/* See image.h. */
#define _GNU_SOURCE
#include "image.h"

#include "../executor/pseudo_fs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

int shim_open_in_root(int root, const char *path, int flags, int mode)
{
    struct open_how how = {.flags = (unsigned)(flags | O_CLOEXEC),
                           .mode = (unsigned)mode,
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV};
    long fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
    return fd < 0 ? -errno : (int)fd;
}

int shim_open_image_file(int look)
{
    struct stat found;
    struct statfs on;
    char path[32];
    if (fstat(look, &found) < 0 || fstatfs(look, &on) < 0)
        return -errno;
    if (!S_ISREG(found.st_mode) || is_pseudo_fs((uint64_t)on.f_type))
        return -EINVAL;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", look);
    int fd = open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int shim_unshare(int flags)
{
    return unshare(flags) < 0 ? -errno : 0;
}

int shim_mount(const char *source, const char *target, const char *type, unsigned long flags,
               const char *options)
{
    return mount(source, target, type, flags, options) < 0 ? -errno : 0;
}
