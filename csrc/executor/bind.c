/* Bind mounts: of the host's files, of the container's own, and of symlinks; flags that the kernel has
 * locked.
 */
#include "executor.h"

#include <linux/magic.h>

#define ACCESS_TIME (MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME)

/* For who has no privileges over the host, the runtime cannot open a mount: the executor does, with
 * the privileges of its user namespace but still as the user who may search the way there. */
int do_open_source(void)
{
    int tree = clone_source(TEXT(OPEN_SOURCE, path), (int)INT(OPEN_SOURCE, recursive),
                            (int)INT(OPEN_SOURCE, nofollow));
    return fill_slot(INT(OPEN_SOURCE, slot), tree);
}

/* Flags of a mount that a less privileged user namespace may not clear: as statfs(2) tells them, as
 * mount_setattr(2) takes them, and their names. */
static const struct {
    int64_t told, attr;
    const char *name;
} LOCKABLE[] = {
    {0x1, MOUNT_ATTR_RDONLY, "ro"},         {0x2, MOUNT_ATTR_NOSUID, "nosuid"},
    {0x4, MOUNT_ATTR_NODEV, "nodev"},       {0x8, MOUNT_ATTR_NOEXEC, "noexec"},
    {0x400, MOUNT_ATTR_NOATIME, "noatime"}, {0x800, MOUNT_ATTR_NODIRATIME, "nodiratime"},
};

#define ST_RELATIME 0x1000

/* The access time setting of a mount, as mount_setattr(2) takes it. */
static int64_t access_time(int64_t told)
{
    int64_t field = told & 0x400         ? MOUNT_ATTR_NOATIME
                    : told & ST_RELATIME ? MOUNT_ATTR_RELATIME
                                         : MOUNT_ATTR_STRICTATIME;
    return field | (told & 0x800 ? MOUNT_ATTR_NODIRATIME : 0);
}

/* The kernel has refused to change flags of a mount that comes from a more privileged mount namespace:
 * they are locked. What the config says nothing of stays as it is, as with runc; what it wants changed
 * is an error. */
static int check_locked(int tree, int64_t set, int64_t clear)
{
    struct file_system found;
    int error = xfstatfs(tree, &found);
    if (error)
        return error;
    for (size_t i = 0; i < sizeof(LOCKABLE) / sizeof(*LOCKABLE); i++)
        if (clear & ~ACCESS_TIME & LOCKABLE[i].attr && found.flags & LOCKABLE[i].told)
            return because(-EPERM, DETAIL_LOCKED_FLAG, LOCKABLE[i].name);
    if (clear & MOUNT_ATTR__ATIME && (set & ACCESS_TIME) != access_time(found.flags))
        return because(-EPERM, DETAIL_LOCKED_ATIME, NULL);
    return 0;
}

static int bind_attributes(int tree)
{
    int64_t set = INT(BIND, attr_set), clear = INT(BIND, attr_clear);
    int64_t all = clear | INT(BIND, soft_clear);
    int error = set_attr(tree, 0, set, all);
    if (error != -EPERM)
        return error;
    error = check_locked(tree, set, clear);
    /* nosymfollow is the only flag that the kernel never locks */
    return error ? error : set_attr(tree, 0, set & ~ACCESS_TIME, all & MOUNT_ATTR_NOSYMFOLLOW);
}

static int open_like(const char *target, int tree)
{
    struct statx st;
    int error = xstatx(tree, "", AT_EMPTY_PATH, &st);
    if (error)
        return error;
    int directory = is_type(&st, S_IFDIR);
    int fd = directory ? path_make_dir(target, 0755) : path_make_file(target, 0755);
    if (fd == -ENOTDIR && directory) { /* the target, or what it would lie below */
        SCOPED_FD there = path_open(target, O_PATH);
        return because(fd, there < 0 ? DETAIL_MOUNT_POINT : DETAIL_TARGET_IS_FILE, target);
    }
    if (fd < 0)
        return because(fd, DETAIL_MOUNT_POINT, target);
    error = xstatx(fd, "", AT_EMPTY_PATH, &st);
    if (!error && directory != is_type(&st, S_IFDIR))
        error = because(-ENOTDIR, directory ? DETAIL_TARGET_IS_FILE : DETAIL_TARGET_IS_DIRECTORY,
                        target);
    if (error) {
        xclose(fd);
        return error;
    }
    return fd;
}

/* What lies on /proc must be one: whoever reads or writes there believes it (CVE-2019-19921). */
static int check_proc(int tree, const char *source, const char *target)
{
    struct file_system found;
    if (!same_text(target, "/proc"))
        return 0;
    int error = xfstatfs(tree, &found);
    if (error || found.type == PROC_SUPER_MAGIC)
        return error;
    return because(-ECANCELED, DETAIL_NOT_PROC, source);
}

/* A source in the container's root, on what has been mounted there. */
static int clone_own(const char *path, int recursive)
{
    SCOPED_FD fd = path_open(path, O_PATH);
    return fd < 0 ? fd : clone_tree(fd, "", recursive);
}

int do_bind(void)
{
    const char *source = TEXT(BIND, source), *where = TEXT(BIND, target);
    int64_t slot = INT(BIND, slot);
    int recursive = (int)INT(BIND, recursive);
    SCOPED_FD tree = slot >= 0            ? slot_fd(slot)
                     : INT(BIND, in_root) ? clone_own(source, recursive)
                                          : clone_tree(AT_FDCWD, source, recursive);
    if (tree < 0)
        return because(tree, DETAIL_OPEN_SOURCE, source);
    int error = check_proc(tree, source, where);
    if (error)
        return error;
    error = bind_attributes(tree);
    if (error)
        return because(error, DETAIL_ATTRIBUTES, source);
    SCOPED_FD target = open_like(where, tree);
    return target < 0 ? target : attach_at(&tree, target, where);
}

/* What stands in place of a new file system that cannot be: the host's, or one that was opened while
 * we had the privileges for it. */
int do_bind_host(void)
{
    const char *source = TEXT(BIND_HOST, source), *where = TEXT(BIND_HOST, target);
    int64_t slot = INT(BIND_HOST, slot), missing = INT(BIND_HOST, missing);
    SCOPED_FD tree = slot >= 0 ? slot_fd(slot) : clone_host(source, INT(BIND_HOST, attr_set));
    if (tree == -ENOENT && missing == MISSING_SKIPPED)
        return 0;
    if (tree < 0 && !(tree == -ENOENT && missing == MISSING_HIDDEN))
        return because(tree, DETAIL_OPEN_SOURCE, source);
    int error = tree < 0 || slot >= 0 ? 0 : check_proc(tree, source, where);
    if (error)
        return error;
    SCOPED_FD target = open_target_dir(where, (int)INT(BIND_HOST, plain_target));
    if (target < 0)
        return target;
    return tree < 0 ? hide(target) : attach_at(&tree, target, where);
}

_Static_assert(BIND_attr_set == BIND_LINK_attr_set && BIND_attr_clear == BIND_LINK_attr_clear &&
                   BIND_soft_clear == BIND_LINK_soft_clear,
               "bind_attributes is for both");

/* The symlink that the source is, again at the target; one that is there already must be the same.
 */
static int copy_link(int source, const char *target)
{
    char text[PATH_MAX], there[PATH_MAX];
    const char *name;
    long length = sys4(__NR_readlinkat, source, "", text, sizeof(text) - 1);
    if (length < 0)
        return (int)length;
    text[length] = 0;
    SCOPED_FD dir = path_parent(target, &name);
    if (dir < 0)
        return dir;
    int error = (int)sys3(__NR_symlinkat, text, dir, name);
    if (error != -EEXIST)
        return error;
    length = sys4(__NR_readlinkat, dir, name, there, sizeof(there) - 1);
    there[length > 0 ? length : 0] = 0;
    return length > 0 && same_text(there, text) ? 0 : because(-EEXIST, DETAIL_NO_SUCH_LINK, target);
}

/* The target itself, symlink or not; never one of the kernel's own (/proc/self/exe and its like). */
static int open_unfollowed(const char *target, int directory)
{
    struct file_system on;
    struct statx st;
    SCOPED_FD fd = path_open_link(target);
    if (fd < 0)
        return because(fd, DETAIL_OPEN_NOFOLLOW, target);
    int error = xfstatfs(fd, &on);
    if (error)
        return error;
    if (on.type == PROC_SUPER_MAGIC || on.type == SYSFS_MAGIC || on.type == DEVPTS_SUPER_MAGIC)
        return because(-EPERM, DETAIL_KERNEL_FILESYSTEM, target);
    error = xstatx(fd, "", AT_EMPTY_PATH, &st);
    if (error)
        return error;
    if (directory != is_type(&st, S_IFDIR))
        return because(-ENOTDIR, DETAIL_ONE_IS_DIRECTORY, target);
    return keep(&fd);
}

/* struct mount_attr with mount_setattr's flags before it, as often as there are some. */
static int change(int tree, const char *list, size_t length)
{
    struct {
        uint64_t flags;
        struct mount_attr attr;
    } one;
    for (size_t at = 0; at + sizeof(one) <= length; at += sizeof(one)) {
        memcpy(&one, list + at, sizeof(one));
        int error = (int)sys5(__NR_mount_setattr, tree, "", AT_EMPTY_PATH | (unsigned)one.flags,
                              &one.attr, sizeof(one.attr));
        if (error)
            return error == -EPERM ? because(error, DETAIL_LOCKED_FLAGS, NULL) : error;
    }
    return 0;
}

int do_bind_link(void)
{
    const char *source = TEXT(BIND_LINK, source), *where = TEXT(BIND_LINK, target);
    int64_t slot = INT(BIND_LINK, slot), links = INT(BIND_LINK, links);
    struct statx st;
    SCOPED_FD tree = slot >= 0 ? slot_fd(slot)
                               : clone_source(source, (int)INT(BIND_LINK, recursive),
                                              (links & (SRC_NOFOLLOW | COPY_SYMLINK)) != 0);
    if (tree < 0)
        return because(tree, DETAIL_OPEN_SOURCE, source);
    int error = xstatx(tree, "", AT_EMPTY_PATH, &st);
    if (error)
        return error;
    if ((links & COPY_SYMLINK) && is_type(&st, S_IFLNK))
        return copy_link(tree, where);
    error = bind_attributes(tree);
    if (error)
        return because(error, DETAIL_ATTRIBUTES, source);
    SCOPED_FD target = links & DEST_NOFOLLOW ? open_unfollowed(where, is_type(&st, S_IFDIR))
                                             : open_like(where, tree);
    if (target < 0)
        return target;
    error = attach(tree, target);
    return error ? error : change(tree, TEXT(BIND_LINK, changes), TEXT_LENGTH(BIND_LINK, changes));
}

int do_remount(void)
{
    SCOPED_FD fd = path_open(TEXT(REMOUNT, target), O_PATH);
    const char *data = TEXT(REMOUNT, data);
    int64_t flags = INT(REMOUNT, ms_flags);
    if (fd < 0)
        return fd;
    data = data[0] ? data : NULL;
    int error = change_mount(fd, flags, data);
    if (error != -EPERM || !(flags & MS_BIND))
        return error;
    struct file_system found; /* locked flags stay, as for a bind */
    if (xfstatfs(fd, &found))
        return error;
    for (size_t i = 0; i < sizeof(LOCKABLE) / sizeof(*LOCKABLE); i++) {
        if (found.flags & LOCKABLE[i].told & INT(REMOUNT, ms_clear))
            return because(-EPERM, DETAIL_LOCKED_FLAG, LOCKABLE[i].name);
        flags |= found.flags & LOCKABLE[i].told; /* statfs(2) and mount(2) have the same numbers */
    }
    return change_mount(fd, flags, data);
}
