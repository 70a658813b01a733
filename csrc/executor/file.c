/* Files of a container that are opened with our privileges: the image, or who shares its root with
 * somebody, chooses what is there. A file is opened without effect first (O_PATH) and looked at;
 * then that descriptor is opened again, not the path, which may lead elsewhere by now. */
#include "executor.h"
#include "pseudo_fs.h"

/* /proc/self/fd of the procfs that is mounted, if it is that: nothing may be mounted over it. Where
 * we are in no pid namespace that it shows, there is no "self". */
int mounted_fds(void)
{
    struct file_system on;
    SCOPED_FD proc = xopenat(AT_FDCWD, "/proc", O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
    if (proc < 0 || xfstatfs(proc, &on) || on.type != PROC_SUPER_MAGIC)
        return -ENOENT;
    return xopenat2(proc, "self/fd", O_PATH | O_DIRECTORY, RESOLVE_NO_XDEV | RESOLVE_BENEATH);
}

int reopen(int look, int flags)
{
    struct statx before, after;
    char number[24];
    SCOPED_FD opened = ex.fds >= 0 ? -1 : mounted_fds();
    if (ex.fds < 0 && opened < 0) { /* costs more: a procfs of our own */
        int proc = proc_handle();
        opened = proc < 0 ? proc : xopenat(proc, "self/fd", O_PATH | O_DIRECTORY, 0);
    }
    int fds = ex.fds >= 0 ? ex.fds : opened;
    if (fds < 0)
        return fds;
    put_number(number, look);
    SCOPED_FD fd = xopenat(fds, number, flags | O_NOCTTY, 0);
    if (fd < 0)
        return fd;
    if (xstatx(look, "", AT_EMPTY_PATH, &before) || xstatx(fd, "", AT_EMPTY_PATH, &after) ||
        before.stx_ino != after.stx_ino || before.stx_dev_major != after.stx_dev_major ||
        before.stx_dev_minor != after.stx_dev_minor)
        return because(-EXDEV, DETAIL_FDS_NOT_OURS, NULL);
    return keep(&fd);
}

/* Not a device nor a fifo, whose opening has effects or never ends; and nothing that the kernel
 * makes up for whoever reads it. */
int path_open_file(const char *path, uint64_t resolve, uint64_t *size)
{
    struct statx st;
    struct file_system on;
    SCOPED_FD look = path_resolve(path, O_PATH, resolve);
    if (look < 0)
        return look;
    int error = xstatx(look, "", AT_EMPTY_PATH, &st);
    if (!error && !is_type(&st, S_IFREG))
        error = -EINVAL;
    if (!error)
        error = xfstatfs(look, &on);
    if (!error && is_pseudo_fs((uint64_t)on.type))
        error = -EINVAL;
    *size = st.stx_size;
    return error ? error : reopen(look, O_RDONLY | O_NONBLOCK);
}
