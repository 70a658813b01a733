/* Mounts: the root file system, new file systems, binds, attributes, masks, and pivot_root.
 *
 * Everything goes through fds and the mount API of Linux 5.2 and 5.12 (open_tree, fsopen,
 * move_mount, mount_setattr): a new mount is complete before it appears, and its target is the
 * very inode that path_open gave. mount(2) is used where that API has no word for a flag.
 */
#include "executor.h"

#include <linux/magic.h>

#define IN_PROC "self/ns/pid_for_children"
_Static_assert(sizeof("/proc/" IN_PROC) == sizeof(PIDNS_OF_CHILDREN), "the same file");
#define UMOUNT_NOFOLLOW 8
#define ACCESS_TIME (MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME)

int attach(int tree, int target)
{
    return (int)sys5(__NR_move_mount, tree, "", target, "",
                     MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

/* The same of what config.json mounts. What lies on the root is the root from now on: a file system of
 * its own, or the host's, as pods have it that mount / at /. */
static int attach_at(int *tree, int target, const char *path)
{
    int error = attach(*tree, target);
    if (!error && same_text(path, "/")) {
        xclose(ex.rootfs);
        ex.rootfs = keep(tree);
        ex.root_covered++;
    }
    return error;
}

static int set_attr(int fd, int recursive, int64_t set, int64_t clear)
{
    struct mount_attr attr = {.attr_set = (uint64_t)set, .attr_clr = (uint64_t)clear};
    unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
    if (!set && !clear)
        return 0;
    return (int)sys5(__NR_mount_setattr, fd, "", flags, &attr, sizeof(attr));
}

int set_private(int tree, int64_t set, int recursive)
{
    struct mount_attr attr = {.attr_set = (uint64_t)set, .propagation = MS_PRIVATE};
    unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
    return (int)sys5(__NR_mount_setattr, tree, "", flags, &attr, sizeof(attr));
}

int clone_tree(int dir, const char *path, int recursive)
{
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0);
    return (int)sys3(__NR_open_tree, dir, path, flags | (path[0] ? 0 : AT_EMPTY_PATH));
}

/* A path of the host's; `nofollow`: a symlink there is what is meant. */
static int clone_source(const char *path, int recursive, int nofollow)
{
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0) |
                     (nofollow ? AT_SYMLINK_NOFOLLOW : 0);
    return (int)sys3(__NR_open_tree, AT_FDCWD, path, flags);
}

/* mount(2) wants a path: the fd's own, through procfs. */
void fd_path(char *out, int fd)
{
    static const char prefix[] = "/proc/self/fd/";
    memcpy(out, prefix, sizeof(prefix));
    put_number(out + sizeof(prefix) - 1, fd);
}

static int classic_mount(const char *source, int target, const char *type, int64_t flags,
                         const char *data)
{
    char path[32];
    fd_path(path, target);
    return (int)sys5(__NR_mount, source, path, type, flags, data);
}

int do_propagation(void)
{
    return (int)sys5(__NR_mount, NULL, TEXT(PROPAGATION, path), NULL, INT(PROPAGATION, flags),
                     NULL);
}

/* pivot_root(2) refuses a root whose parent mount is shared, and what we mount must not travel
 * to the host: make the mount that holds the root private. It is the nearest path upwards that is
 * a mount point, the one for which the kernel does not say EINVAL. */
static int make_parent_private(const char *path)
{
    char copy[PATH_MAX];
    size_t end = text_length(path);
    if (end >= sizeof(copy))
        return -ENAMETOOLONG;
    memcpy(copy, path, end + 1);
    for (;;) {
        copy[end ? end : 1] = 0;
        int error = (int)sys5(__NR_mount, NULL, copy, NULL, MS_PRIVATE, NULL);
        if (error != -EINVAL || end == 0)
            return error;
        while (end > 0 && copy[end - 1] != '/')
            end--;
        if (end > 0)
            end--;
        if (end == 0)
            copy[0] = '/';
    }
}

/* For who has no privileges over the host, the runtime cannot open a mount: the executor does, with
 * the privileges of its user namespace but still as the user who may search the way there. */
int do_open_source(void)
{
    int64_t slot = INT(OPEN_SOURCE, slot);
    if (slot < ex.slot_count || slot >= MAX_SLOTS)
        return -EBADF;
    int tree = clone_source(TEXT(OPEN_SOURCE, path), (int)INT(OPEN_SOURCE, recursive),
                            (int)INT(OPEN_SOURCE, nofollow));
    if (tree < 0)
        return tree;
    ex.slots[slot] = tree;
    return 0;
}

/* What becomes of the mount that the root lies on. */
enum { PARENT_HOSTS, PARENT_PRIVATE, PARENT_SLAVE };

int do_rootfs(void)
{
    const char *path = TEXT(ROOTFS, path);
    int64_t slot = INT(ROOTFS, slot);
    ex.over_root = (int)INT(ROOTFS, over_root);
    if (ex.over_root)
        path = "/"; /* lookups begin below what is mounted here: the host's paths stay in reach */
    if (INT(ROOTFS, parent) == PARENT_PRIVATE) {
        int error = make_parent_private(path);
        if (error)
            return error;
    }
    if (INT(ROOTFS, parent) == PARENT_HOSTS && slot < 0) { /* only a chroot */
        ex.rootfs = xopenat(AT_FDCWD, path, O_PATH | O_DIRECTORY, 0);
        return ex.rootfs < 0 ? ex.rootfs : 0;
    }
    SCOPED_FD tree = slot >= 0 ? slot_fd(slot) : clone_tree(AT_FDCWD, path, 1);
    if (tree < 0)
        return tree;
    int error = (int)sys5(__NR_move_mount, tree, "", AT_FDCWD, path,
                          MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS);
    /* Opened among the host's mounts, it is still told of what happens to the one it is a copy of;
     * without a mount namespace it is even a peer of that one. */
    if (!error && slot >= 0 && INT(ROOTFS, parent) != PARENT_SLAVE)
        error = set_private(tree, 0, 0);
    if (error)
        return error;
    ex.rootfs = keep(&tree);
    return open_own_files();
}

/* What the kernel says of a failed fsconfig: lines like "e tmpfs: Unknown parameter 'x'". */
static int fs_failed(int fs, int error)
{
    static char line[256];
    long length = xread(fs, line, sizeof(line) - 1);
    if (length > 2) {
        while (length && line[length - 1] == '\n')
            length--;
        line[length] = 0;
        return because(error, DETAIL_KERNEL, line + 2);
    }
    return error;
}

/* The pid namespace that our children are born into, from a procfs that nobody can replace. */
static int set_pidns(int fs)
{
    int proc = proc_handle();
    SCOPED_FD fd = proc < 0 ? proc : xopenat(proc, IN_PROC, O_RDONLY, 0);
    return fd < 0 ? fd : (int)sys5(__NR_fsconfig, fs, FSCONFIG_SET_FD, "pidns", NULL, fd);
}

/* One option of the list: "key=value", or a flag. */
static int configure(int fs, const char *option)
{
    char key[256];
    const char *equals = find_char(option, '=');
    if (!equals)
        return (int)sys5(__NR_fsconfig, fs, FSCONFIG_SET_FLAG, option, NULL, 0);
    size_t length = (size_t)(equals - option);
    if (length >= sizeof(key))
        return -ENAMETOOLONG;
    memcpy(key, option, length);
    key[length] = 0;
    if (same_text(key, "pidns") && same_text(equals + 1, PIDNS_OF_CHILDREN))
        return set_pidns(fs);
    return (int)sys5(__NR_fsconfig, fs, FSCONFIG_SET_STRING, key, equals + 1, 0);
}

static int configure_all(int fs, const char *list, size_t length)
{
    for (size_t at = 0; at < length; at += text_length(list + at) + 1) {
        int error = list[at] ? configure(fs, list + at) : 0;
        if (error)
            return error;
    }
    return 0;
}

/* A tmpfs without a mode of its own takes that of the directory that it covers; the kernel's own
 * where there was none and one had to be made. `mode` has room for it. */
static int mode_of(int target, char *mode)
{
    struct statx st;
    mode[0] = 0;
    if (!INT(MOUNT, keep_mode) || ex.made_dir)
        return 0;
    int error = xstatx(target, "", AT_EMPTY_PATH, &st);
    if (error)
        return error;
    for (int i = 0; i < 4; i++)
        mode[i] = (char)('0' + (st.stx_mode >> (9 - 3 * i) & 7));
    mode[4] = 0;
    return 0;
}

static int keep_mode(int fs, int target)
{
    char mode[8];
    int error = mode_of(target, mode);
    if (error || !mode[0])
        return error;
    return (int)sys5(__NR_fsconfig, fs, FSCONFIG_SET_STRING, "mode", mode, 0);
}

static int new_file_system(int target)
{
    const char *source = TEXT(MOUNT, source);
    SCOPED_FD fs = (int)sys2(__NR_fsopen, TEXT(MOUNT, fstype), FSOPEN_CLOEXEC);
    if (fs < 0)
        return fs == -ENODEV ? because(fs, DETAIL_NO_FILESYSTEM, NULL) : fs;
    int error = 0;
    if (source[0])
        error = (int)sys5(__NR_fsconfig, fs, FSCONFIG_SET_STRING, "source", source, 0);
    if (!error)
        error = keep_mode(fs, target);
    if (!error)
        error = configure_all(fs, TEXT(MOUNT, options), TEXT_LENGTH(MOUNT, options));
    if (!error)
        error = configure_all(fs, TEXT(MOUNT, sb_flags), TEXT_LENGTH(MOUNT, sb_flags));
    if (!error)
        error = (int)sys5(__NR_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
    if (error)
        return fs_failed(fs, error);
    int fd = (int)sys3(__NR_fsmount, fs, FSMOUNT_CLOEXEC, INT(MOUNT, attr_set));
    return fd < 0 ? fs_failed(fs, fd) : fd;
}

/* What shows a namespace belongs to the user namespace that this one belongs to: it is made here,
 * before we are in the container's. */
int do_open_fs(void)
{
    int64_t slot = INT(OPEN_FS, slot);
    const char *source = TEXT(OPEN_FS, source);
    if (slot < ex.slot_count || slot >= MAX_SLOTS)
        return -EBADF;
    SCOPED_FD fs = (int)sys2(__NR_fsopen, TEXT(OPEN_FS, fstype), FSOPEN_CLOEXEC);
    if (fs < 0)
        return fs;
    int error = 0;
    if (source[0])
        error = (int)sys5(__NR_fsconfig, fs, FSCONFIG_SET_STRING, "source", source, 0);
    if (!error)
        error = configure_all(fs, TEXT(OPEN_FS, options), TEXT_LENGTH(OPEN_FS, options));
    if (!error)
        error = (int)sys5(__NR_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
    int fd = error ? error : (int)sys3(__NR_fsmount, fs, FSMOUNT_CLOEXEC, INT(OPEN_FS, attr_set));
    if (fd < 0)
        return fs_failed(fs, fd);
    ex.slots[slot] = fd;
    return 0;
}

/* proc and sysfs must be mounted on a real directory: a symlink there would let an image choose
 * where they appear (CVE-2019-19921, CVE-2023-27561). */
static int open_target_dir(const char *target, int plain)
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
    if ((st.stx_mode & S_IFMT) != S_IFDIR)
        return because(-ENOTDIR, DETAIL_NO_PLAIN_DIRECTORY, target);
    return keep(&fd);
}

/* The options again as the one string that mount(2) takes. */
static int classic_options(int target, char *out, size_t room)
{
    const char *list = TEXT(MOUNT, options);
    size_t length = TEXT_LENGTH(MOUNT, options);
    char mode[8];
    int error = mode_of(target, mode);
    if (error)
        return error;
    if (length + sizeof("mode=0000,") >= room)
        return -E2BIG;
    if (mode[0]) {
        memcpy(out, "mode=", 5);
        memcpy(out + 5, mode, 4);
        out += 9;
        *out = 0;
        if (length)
            *out++ = ',';
        else
            return 0;
    }
    for (size_t i = 0; i < length; i++)
        out[i] = list[i] ? list[i] : ',';
    out[length ? length - 1 : 0] = 0;
    return 0;
}

/* A copy of a mount of the host's that config.json does not name: what the container does to it stays
 * in the container, and nothing is writable but the mount itself where `set` does not say "ro". How
 * it notes access times is the host's affair. */
static int clone_host(const char *path, int64_t set)
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

/* A kernel's own file system that belongs to a namespace of somebody else's is refused with EPERM;
 * the one that we see already shows the same. */
static int clone_shown(const char *fstype)
{
    const char *path = same_text(fstype, "proc")      ? "/proc"
                       : same_text(fstype, "sysfs")   ? "/sys"
                       : same_text(fstype, "cgroup2") ? "/sys/fs/cgroup"
                                                      : "/dev/mqueue";
    int tree = clone_host(path, INT(MOUNT, attr_set));
    if (tree < 0)
        return because(-EPERM, DETAIL_NOTHING_TO_BIND, path);
    return tree;
}

int do_mount(void)
{
    static char options[PATH_MAX];
    SCOPED_FD target = open_target_dir(TEXT(MOUNT, target), (int)INT(MOUNT, plain_target));
    if (target < 0)
        return target;
    if (INT(MOUNT, ms_flags)) {
        int error = classic_options(target, options, sizeof(options));
        if (same_text(TEXT(MOUNT, target), "/")) /* nothing would lead to what lies there */
            error = because(-EINVAL, DETAIL_ROOT_OPTIONS, NULL);
        if (error)
            return error;
        return classic_mount(TEXT(MOUNT, source), target, TEXT(MOUNT, fstype), INT(MOUNT, ms_flags),
                             options);
    }
    SCOPED_FD tree = new_file_system(target);
    if (tree == -EPERM && INT(MOUNT, or_bind))
        tree = clone_shown(TEXT(MOUNT, fstype));
    if (tree < 0)
        return tree;
    if (INT(MOUNT, copy_up)) {
        int error = copy_up(target, tree, INT(MOUNT, copy_up) == COPY_UP_OWNER);
        if (error)
            return error;
    }
    return attach_at(&tree, target, TEXT(MOUNT, target));
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
    return error ? error : set_attr(tree, 0, set & ~ACCESS_TIME, all & MOUNT_ATTR_NOSYMFOLLOW);
}

static int open_like(const char *target, int tree)
{
    struct statx st;
    int error = xstatx(tree, "", AT_EMPTY_PATH, &st);
    if (error)
        return error;
    int directory = (st.stx_mode & S_IFMT) == S_IFDIR;
    int fd = directory ? path_make_dir(target, 0755) : path_make_file(target, 0755);
    if (fd == -ENOTDIR && directory)
        return because(fd, DETAIL_TARGET_IS_FILE, target);
    if (fd < 0)
        return because(fd, DETAIL_MOUNT_POINT, target);
    error = xstatx(fd, "", AT_EMPTY_PATH, &st);
    if (!error && directory != ((st.stx_mode & S_IFMT) == S_IFDIR))
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
    if (directory != ((st.stx_mode & S_IFMT) == S_IFDIR))
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
    if ((links & COPY_SYMLINK) && (st.stx_mode & S_IFMT) == S_IFLNK)
        return copy_link(tree, where);
    error = bind_attributes(tree);
    if (error)
        return because(error, DETAIL_ATTRIBUTES, source);
    SCOPED_FD target = links & DEST_NOFOLLOW
                           ? open_unfollowed(where, (st.stx_mode & S_IFMT) == S_IFDIR)
                           : open_like(where, tree);
    if (target < 0)
        return target;
    error = attach(tree, target);
    return error ? error : change(tree, TEXT(BIND_LINK, changes), TEXT_LENGTH(BIND_LINK, changes));
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
    return fd < 0 ? fd : classic_mount(NULL, fd, NULL, INT(MOUNT_PROPAGATION, flags), NULL);
}

int do_remount(void)
{
    SCOPED_FD fd = path_open(TEXT(REMOUNT, target), O_PATH);
    const char *data = TEXT(REMOUNT, data);
    int64_t flags = INT(REMOUNT, ms_flags);
    if (fd < 0)
        return fd;
    data = data[0] ? data : NULL;
    int error = classic_mount(NULL, fd, NULL, flags, data);
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
    return classic_mount(NULL, fd, NULL, flags, data);
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

/* For a file system that takes no label as an option: its new root, which nobody else has yet. */
int do_label_file(void)
{
    SCOPED_FD fd = path_open(TEXT(LABEL_FILE, path), O_RDONLY | O_DIRECTORY);
    size_t length = TEXT_LENGTH(LABEL_FILE, label) + 1; /* SELinux wants the NUL, too */
    if (fd < 0)
        return fd;
    return (int)sys5(__NR_fsetxattr, fd, "security.selinux", TEXT(LABEL_FILE, label), length, 0);
}

/* The old root ends up on top of the new one, both at "/": no directory for it is needed. But then
 * "." is the lower one for mount(2), the upper one for umount2(2): a descriptor says which. */
int do_pivot_root(void)
{
    SCOPED_FD old = xopenat(AT_FDCWD, "/", O_PATH | O_DIRECTORY, 0);
    int error = old < 0 ? old : (int)sys1(__NR_fchdir, ex.rootfs);
    if (!error)
        error = (int)sys2(__NR_pivot_root, ".", ".");
    if (!error)
        error = (int)sys1(__NR_fchdir, old);
    if (!error) /* nothing of the detaching may travel to the host */
        error = (int)sys5(__NR_mount, NULL, ".", NULL, MS_SLAVE | MS_REC, NULL);
    if (!error)
        error = (int)sys2(__NR_umount2, ".", MNT_DETACH);
    /* What lay over the old root, and is covered itself, was on top of it. */
    for (int more = ex.over_root ? ex.root_covered : 0; !error && more; more--)
        error = (int)sys2(__NR_umount2, ".", MNT_DETACH);
    return error ? error : (int)sys1(__NR_chdir, "/");
}

/* For a root on initramfs, which pivot_root refuses (--no-pivot). */
int do_move_root(void)
{
    int error = (int)sys1(__NR_fchdir, ex.rootfs);
    if (!error)
        error = (int)sys5(__NR_mount, ".", "/", NULL, MS_MOVE, NULL);
    if (!error)
        error = (int)sys1(__NR_chroot, ".");
    return error ? error : (int)sys1(__NR_chdir, "/");
}

int do_chroot(void)
{
    int error = (int)sys1(__NR_fchdir, ex.rootfs);
    if (!error)
        error = (int)sys1(__NR_chroot, ".");
    return error ? error : (int)sys1(__NR_chdir, "/");
}
