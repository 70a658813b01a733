/* See image.h. */
#define _GNU_SOURCE
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

int shim_open_in_root(int root, const char *path, int flags, int mode)
{
    struct open_how how = { .flags = (unsigned)(flags | O_CLOEXEC),
                            .mode = (unsigned)mode,
                            .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV };
    long fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
    return fd < 0 ? -errno : (int)fd;
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
