/* Mounts: what all files of mounts share, attributes, propagation, and unmounting.
 *
 * Everything goes through fds and the mount API of Linux 5.2 and 5.12 (open_tree, fsopen,
 * move_mount, mount_setattr): a new mount is complete before it appears, and its target is the
 * very inode that path_open gave. mount(2) is used where that API has no word for a flag.
 */
#include "executor.h"

int attach(int tree, int target)
{
    return (int)sys5(__NR_move_mount, tree, "", target, "",
                     MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

/* The same of what config.json mounts. What lies on the root is the root from now on: a file system of
 * its own, or the host's, as pods have it that mount / at /. */
int attach_at(int *tree, int target, const char *path)
{
    int error = attach(*tree, target);
    if (!error && same_text(path, "/")) {
        xclose(ex.rootfs);
        ex.rootfs = keep(tree);
        ex.root_covered++;
    }
    return error;
}

static int change(int fd, int recursive, struct mount_attr attr)
{
    unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
    return (int)sys5(__NR_mount_setattr, fd, "", flags, &attr, sizeof(attr));
}

int set_attr(int fd, int recursive, int64_t set, int64_t clear)
{
    struct mount_attr attr = {.attr_set = (uint64_t)set, .attr_clr = (uint64_t)clear};
    return set || clear ? change(fd, recursive, attr) : 0;
}

int set_private(int tree, int64_t set, int recursive)
{
    struct mount_attr attr = {.attr_set = (uint64_t)set, .propagation = MS_PRIVATE};
    return change(tree, recursive, attr);
}

int clone_tree(int dir, const char *path, int recursive)
{
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0);
    return (int)sys3(__NR_open_tree, dir, path, flags | (path[0] ? 0 : AT_EMPTY_PATH));
}

/* A path of the host's; `nofollow`: a symlink there is what is meant. */
int clone_source(const char *path, int recursive, int nofollow)
{
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0) |
                     (nofollow ? AT_SYMLINK_NOFOLLOW : 0);
    return (int)sys3(__NR_open_tree, AT_FDCWD, path, flags);
}

/* mount(2) wants a path: the fd's own, through the procfs of the host. */
void fd_path(char *out, int fd)
{
    static const char prefix[] = "/proc/self/fd/";
    memcpy(out, prefix, sizeof(prefix));
    put_number(out + sizeof(prefix) - 1, fd);
}

int classic_mount(const char *source, int target, const char *type, int64_t flags, const char *data)
{
    char path[32];
    fd_path(path, target);
    return (int)sys5(__NR_mount, source, path, type, flags, data);
}

/* The same where the root is the container's: no procfs may be there, one that does not show us, or
 * what the image has put in its place. A directory is "." of who has entered it; a file has its path
 * below a procfs of ours. */
int change_mount(int target, int64_t flags, const char *data)
{
    char path[32] = ".";
    SCOPED_FD here = xopenat(AT_FDCWD, ".", O_PATH | O_DIRECTORY, 0);
    int error = here < 0 ? here : (int)sys1(__NR_fchdir, target);
    if (error && here >= 0) {
        int proc = proc_handle();
        memcpy(path, "self/fd/", 8);
        put_number(path + 8, target);
        error = proc < 0 ? proc : (int)sys1(__NR_fchdir, proc);
    }
    if (!error)
        error = (int)sys5(__NR_mount, NULL, path, NULL, flags, data);
    int back = here < 0 ? here : (int)sys1(__NR_fchdir, here);
    return error ? error : back;
}

/* proc and sysfs must be mounted on a real directory: a symlink there would let an image choose
 * where they appear (CVE-2019-19921, CVE-2023-27561). */
int open_target_dir(const char *target, int plain)
{
    struct statx st;
    if (!plain)
        return path_make_dir(target, 0755);
    SCOPED_FD fd = path_plain_dir(target, 0755);
    if (fd == -ELOOP)
        return because(-ELOOP, DETAIL_NO_PLAIN_DIRECTORY, target);
    if (fd < 0)
        return fd;
    int error = xstatx(fd, "", AT_EMPTY_PATH, &st);
    if (error)
        return error;
    if (!is_type(&st, S_IFDIR))
        return because(-ENOTDIR, DETAIL_NO_PLAIN_DIRECTORY, target);
    return keep(&fd);
}

/* A copy of a mount of the host's that config.json does not name: what the container does to it stays
 * in the container, and nothing is writable but the mount itself where `set` does not have "ro". The
 * host's setting for access times stays. */
int clone_host(const char *path, int64_t set)
{
    struct file_system host;
    SCOPED_FD tree = clone_tree(AT_FDCWD, path, 1);
    int error = tree < 0 ? tree : xfstatfs(tree, &host);
    if (error)
        return error;
    set &= MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC |
           MOUNT_ATTR_NOSYMFOLLOW;
    error = set_private(tree, set | MOUNT_ATTR_RDONLY, 1);
    if (!error && !(set & MOUNT_ATTR_RDONLY) && !(host.flags & MS_RDONLY))
        error = set_attr(tree, 0, 0, MOUNT_ATTR_RDONLY);
    return error ? error : keep(&tree);
}

/* By its name in the directory that holds it: who else is in this mount namespace may swap that
 * name, but for something of its own only. */
int do_unmount(void)
{
    char path[PATH_MAX];
    size_t length = TEXT_LENGTH(UNMOUNT, target), start = length;
    if (length >= sizeof(path))
        return -ENAMETOOLONG;
    memcpy(path, TEXT(UNMOUNT, target), length + 1);
    while (start > 0 && path[start - 1] != '/')
        start--;
    const char *name = TEXT(UNMOUNT, target) + start;
    path[start] = 0;
    SCOPED_FD dir = path_open(path, O_PATH | O_DIRECTORY);
    if (dir < 0)
        return dir;
    int error = (int)sys1(__NR_fchdir, dir);
    if (!error)
        error = (int)sys2(__NR_umount2, name, MNT_DETACH | UMOUNT_NOFOLLOW);
    return error == -EINVAL ? because(-ECANCELED, DETAIL_NOT_A_MOUNT, NULL) : error;
}

/* The mount that is on top at `path`, as an fd; -EINVAL when `path` is no mount point. */
int do_mount_attr(void)
{
    SCOPED_FD fd = path_open(TEXT(MOUNT_ATTR, target), O_PATH);
    if (fd < 0)
        return fd;
    int error = set_attr(fd, (int)INT(MOUNT_ATTR, recursive), INT(MOUNT_ATTR, attr_set),
                         INT(MOUNT_ATTR, attr_clear));
    return error == -EPERM ? because(error, DETAIL_LOCKED_FLAGS, NULL) : error;
}

int do_mount_propagation(void)
{
    SCOPED_FD fd = path_open(TEXT(MOUNT_PROPAGATION, target), O_PATH);
    int64_t flags = INT(MOUNT_PROPAGATION, flags);
    struct mount_attr attr = {.propagation = (uint64_t)(flags & ~MS_REC)};
    return fd < 0 ? fd : change(fd, (flags & MS_REC) != 0, attr);
}

int do_readonly(void)
{
    SCOPED_FD target = path_open(TEXT(READONLY, path), O_PATH);
    if (target == -ENOENT || target == -ENOTDIR)
        return 0;
    if (target < 0)
        return target;
    SCOPED_FD tree = clone_tree(target, "", 1);
    if (tree < 0)
        return tree;
    int error =
        set_private(tree, 0, 1); /* what is below keeps its other attributes, as with runc */
    if (!error)
        error = set_attr(tree, 0, MOUNT_ATTR_RDONLY, 0);
    return error ? error : attach(tree, target);
}

/* For a file system that takes no label as an option: its new root, which no other process has yet. */
int do_label_file(void)
{
    SCOPED_FD fd = path_open(TEXT(LABEL_FILE, path), O_RDONLY | O_DIRECTORY);
    size_t length = TEXT_LENGTH(LABEL_FILE, label) + 1; /* SELinux wants the NUL, too */
    if (fd < 0)
        return fd;
    return (int)sys5(__NR_fsetxattr, fd, "security.selinux", TEXT(LABEL_FILE, label), length, 0);
}
