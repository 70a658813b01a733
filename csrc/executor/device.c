/* Devices, symlinks, directories and the console, made through fds inside the root. */
#include "executor.h"

#include <asm/ioctls.h>
#include <asm/termios.h>

#define OVERFLOW_ID 65534 /* who has no number in our user namespace */

static int bind_over(int source, int dir, const char *name)
{
    SCOPED_FD made = xopenat(dir, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY, 0600);
    if (made < 0 && made != -EEXIST)
        return made;
    SCOPED_FD target = xopenat(dir, name, O_PATH | O_NOFOLLOW, 0);
    return target < 0 ? target : attach(source, target);
}

int do_mkdir(void)
{
    int fd = path_make_dir(TEXT(MKDIR, path), (int)INT(MKDIR, mode));
    xclose(fd);
    return fd < 0 ? fd : 0;
}

/* Is what exists at `name` the device that we would have made? */
static int same_device(int dir, const char *name, int64_t mode, int64_t device)
{
    struct statx st;
    int error = xstatx(dir, name, AT_SYMLINK_NOFOLLOW | (name[0] ? 0 : AT_EMPTY_PATH), &st);
    if (error)
        return error;
    int64_t has = ((int64_t)st.stx_rdev_major << 32) | st.stx_rdev_minor;
    int64_t type = mode & S_IFMT;
    if ((st.stx_mode & S_IFMT) != type || (type != S_IFIFO && has != device))
        return because(-EEXIST, DETAIL_FILE_THERE, name);
    return 0;
}

/* mknod(2)'s encoding of a device number, from major << 32 | minor. */
long kernel_device(int64_t device)
{
    uint64_t major = (uint64_t)device >> 32, minor = (uint64_t)device & 0xffffffffu;
    return (long)((minor & 0xff) | ((major & 0xfff) << 8) | ((minor & ~0xffull) << 12) |
                  ((major & ~0xfffull) << 32));
}

/* The host's own node, as a mount: the device can be used; the file, which is the host's, not changed. */
int clone_device(const char *path)
{
    SCOPED_FD tree = clone_tree(AT_FDCWD, path, 0);
    if (tree < 0)
        return because(tree, DETAIL_OPEN_HOST, path);
    int error = set_private(tree, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, 0);
    return error ? error : keep(&tree);
}

static int bind_device(int dir, const char *name, int64_t slot)
{
    SCOPED_FD tree = slot >= 0 ? slot_fd(slot) : clone_device(TEXT(MKNOD, source));
    return tree < 0 ? tree : bind_over(tree, dir, name);
}

/* By a descriptor: who else is in that directory may have put something of its own in its place. */
static int give_node(int dir, const char *name)
{
    SCOPED_FD fd = xopenat(dir, name, O_PATH | O_NOFOLLOW, 0);
    int error = fd < 0 ? fd : same_device(fd, "", INT(MKNOD, mode), INT(MKNOD, device));
    return error
               ? error
               : (int)sys5(__NR_fchownat, fd, "", INT(MKNOD, uid), INT(MKNOD, gid), AT_EMPTY_PATH);
}

int do_mknod(void)
{
    const char *name;
    int64_t mode = INT(MKNOD, mode), device = INT(MKNOD, device);
    SCOPED_FD dir = path_parent(TEXT(MKNOD, path), &name);
    if (dir < 0)
        return dir;
    if (INT(MKNOD, bind))
        return bind_device(dir, name, INT(MKNOD, slot));
    long mask = sys1(__NR_umask, 0);
    int error = (int)sys4(__NR_mknodat, dir, name, mode, kernel_device(device));
    sys1(__NR_umask, mask);
    /* Without CAP_MKNOD over the host, its own node does: the same device, no new right. */
    if (error == -EPERM && TEXT_LENGTH(MKNOD, source))
        return bind_device(dir, name, -1);
    if (error == -EEXIST)
        return same_device(dir, name, mode, device);
    if (error)
        return error;
    return INT(MKNOD, uid) || INT(MKNOD, gid) ? give_node(dir, name) : 0;
}

int do_symlink(void)
{
    const char *name;
    SCOPED_FD dir = path_parent(TEXT(SYMLINK, path), &name);
    if (dir < 0)
        return dir;
    int error = (int)sys3(__NR_symlinkat, TEXT(SYMLINK, target), dir, name);
    if (error != -EEXIST)
        return error;
    if (!INT(SYMLINK, replace))
        return 0;
    error = (int)sys3(__NR_unlinkat, dir, name, 0);
    return error ? error : (int)sys3(__NR_symlinkat, TEXT(SYMLINK, target), dir, name);
}

/* The slave of the container's own devpts, by the master's fd: a path like /dev/pts/0 could be
 * the image's (CVE-2025-52565). */
static int open_slave(int master)
{
    int unlock = 0;
    int error = (int)sys3(__NR_ioctl, master, TIOCSPTLCK, &unlock);
    if (error)
        return error;
    return (int)sys3(__NR_ioctl, master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
}

static int mount_console(int slave)
{
    const char *name;
    SCOPED_FD tree = clone_tree(slave, "", 0);
    int error = tree < 0 ? tree : set_private(tree, 0, 0);
    if (error)
        return error;
    SCOPED_FD dir = path_parent("/dev/console", &name);
    return dir < 0 ? dir : bind_over(tree, dir, name);
}

static int use_slave(int slave)
{
    for (int fd = 0; fd < 3; fd++) {
        int error = (int)sys3(__NR_dup3, slave, fd, 0);
        if (error < 0)
            return error;
    }
    return 0;
}

static int open_master(void)
{
    SCOPED_FD dir = path_open("/dev/pts", O_PATH | O_DIRECTORY);
    if (dir < 0)
        return because(dir, DETAIL_NEEDS_DEVPTS, "/dev/pts");
    int fd = xopenat(dir, "ptmx", O_RDWR | O_NOCTTY | O_NOFOLLOW, 0);
    return fd < 0 ? because(fd, DETAIL_OPEN, "/dev/pts/ptmx") : fd;
}

int do_console(void)
{
    struct winsize size = {.ws_row = (unsigned short)INT(CONSOLE, rows),
                           .ws_col = (unsigned short)INT(CONSOLE, columns)};
    SCOPED_FD master = open_master();
    if (master < 0)
        return master;
    SCOPED_FD slave = open_slave(master);
    if (slave < 0)
        return slave;
    if (size.ws_row || size.ws_col) /* before the program can ask */
        sys3(__NR_ioctl, master, TIOCSWINSZ, &size);
    int error = INT(CONSOLE, mount) ? mount_console(slave) : 0;
    if (!error)
        error = channel_send(MSG_CONSOLE, 0, NULL, 0, master);
    if (!error && INT(CONSOLE, uid))
        error = (int)sys5(__NR_fchownat, slave, "", INT(CONSOLE, uid), -1, AT_EMPTY_PATH);
    return error ? error : use_slave(slave);
}

/* For who leads a session: that may be a later process than who has opened the terminal. */
int do_control_terminal(void)
{
    return (int)sys3(__NR_ioctl, 0, TIOCSCTTY, 0);
}

static int is_null(int fd)
{
    struct statx st;
    return !xstatx(fd, "", AT_EMPTY_PATH, &st) && is_type(&st, S_IFCHR) && st.stx_rdev_major == 1 &&
           st.stx_rdev_minor == 3;
}

/* What an image calls /dev/null need not be it (CVE-2025-31133): it is opened without effect first. */
static int open_inside_null(void)
{
    SCOPED_FD look = xopenat(AT_FDCWD, "/dev/null", O_PATH | O_NOFOLLOW, 0);
    SCOPED_FD null = look < 0 ? look : is_null(look) ? reopen(look, O_RDWR) : -ENODEV;
    return null < 0 ? open_own_null() : keep(&null);
}

/* In a user namespace a file whose owner has no number there can be changed by nobody in there. */
static int is_out_of_reach(int fd)
{
    struct statx st;
    return !xstatx(fd, "", AT_EMPTY_PATH, &st) && st.stx_uid == OVERFLOW_ID;
}

/* A stdio fd that is the host's /dev/null becomes the container's: through /proc/self/fd its mode and
 * owner could be changed. */
int do_reopen_null(void)
{
    SCOPED_FD null = -1;
    for (int fd = 0; fd < 3; fd++) {
        if (!is_null(fd))
            continue;
        if (null < 0)
            null = open_inside_null();
        if (null < 0 && is_out_of_reach(fd))
            continue;
        int error =
            null < 0 ? because(null, DETAIL_NOT_NULL, NULL) : (int)sys3(__NR_dup3, null, fd, 0);
        if (error < 0)
            return error;
    }
    return 0;
}

/* The user's program may reopen its stdio by path: it has to be the user's. Character devices stay
 * as they are (a caller's terminal is not ours to give away), and so does what refuses a new owner:
 * sockets, read-only or foreign files. */
int do_chown_stdio(void)
{
    struct statx st;
    for (int fd = 0; fd < 3; fd++) {
        if (xstatx(fd, "", AT_EMPTY_PATH, &st) || is_type(&st, S_IFCHR))
            continue;
        if (st.stx_uid != (uint32_t)INT(CHOWN_STDIO, uid))
            sys3(__NR_fchown, fd, INT(CHOWN_STDIO, uid), -1);
    }
    return 0;
}
