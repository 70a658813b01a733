/* The tree below a directory, copied into a new file system that is to be mounted over it.
 *
 * Both ends are fds, and every step below them is one name without symlinks followed: whoever made
 * the tree cannot lead the copy out of it. Modes, owners, times, extended attributes, devices and
 * links stay what they are. Mounts below the directory are passed over: they belong to another mount.
 */
#include "executor.h"

#define NAMES_SIZE 4096
#define DEPTH_MAX 256 /* a level needs its buffer on the stack, and two fds */
#define ATTRIBUTES_SIZE 4096

struct entry {
    uint64_t inode;
    int64_t offset;
    unsigned short length;
    unsigned char type;
    char name[];
};

/* Extended attributes are copied if they can be: file capabilities, labels, ACLs. */
static void copy_attributes(int from, int to)
{
    static char names[ATTRIBUTES_SIZE], value[ATTRIBUTES_SIZE];
    long length = sys3(__NR_flistxattr, from, names, sizeof(names));
    for (long at = 0; at < length; at += (long)text_length(names + at) + 1) {
        long size = sys4(__NR_fgetxattr, from, names + at, value, sizeof(value));
        if (size >= 0)
            sys5(__NR_fsetxattr, to, names + at, value, size, 0);
    }
}

/* The owner comes first: chown takes set-id bits and file capabilities away. `name` is "" for the fd
 * itself, which gets the extended attributes of `from`. */
static int copy_facts(int from, int dir, const char *name, const struct statx *st)
{
    int flags = name[0] ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH;
    struct {
        int64_t seconds, nanoseconds;
    } times[2] = {{st->stx_atime.tv_sec, st->stx_atime.tv_nsec},
                  {st->stx_mtime.tv_sec, st->stx_mtime.tv_nsec}};
    int error = (int)sys5(__NR_fchownat, dir, name, st->stx_uid, st->stx_gid, flags);
    if (!error && from >= 0)
        copy_attributes(from, dir);
    if (!error && !is_type(st, S_IFLNK))
        error = (int)(name[0] ? sys3(__NR_fchmodat, dir, name, st->stx_mode & 07777)
                              : sys2(__NR_fchmod, dir, st->stx_mode & 07777));
    if (!error)
        error = (int)(name[0] ? sys4(__NR_utimensat, dir, name, times, AT_SYMLINK_NOFOLLOW)
                              : sys4(__NR_utimensat, dir, NULL, times, 0));
    return error;
}

static int copy_content(int from, int to)
{
    for (;;) {
        long sent = RETRY(sys4(__NR_sendfile, to, from, NULL, 1 << 24));
        if (sent <= 0)
            return (int)sent;
    }
}

static int copy_file(int look, int to_dir, const char *name, const struct statx *st)
{
    SCOPED_FD from = reopen(look, O_RDONLY | O_NONBLOCK);
    if (from < 0)
        return from;
    SCOPED_FD to = xopenat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    if (to < 0)
        return to;
    int error = copy_content(from, to);
    if (error)
        return error;
    return copy_facts(from, to, "", st);
}

static int copy_link(int look, int to_dir, const char *name, const struct statx *st)
{
    static char target[PATH_MAX];
    long length = sys4(__NR_readlinkat, look, "", target, sizeof(target) - 1);
    if (length < 0)
        return (int)length;
    target[length] = 0;
    int error = (int)sys3(__NR_symlinkat, target, to_dir, name);
    return error ? error : copy_facts(-1, to_dir, name, st);
}

/* Sockets have no life outside of their server, and devices need CAP_MKNOD over the host: in a
 * user namespace they are left out. */
static int copy_node(int to_dir, const char *name, const struct statx *st)
{
    long device = kernel_device((int64_t)st->stx_rdev_major << 32 | st->stx_rdev_minor);
    if (is_type(st, S_IFSOCK))
        return 0;
    int error = (int)sys4(__NR_mknodat, to_dir, name, st->stx_mode, device);
    if (error)
        return error == -EPERM ? 0 : error;
    return copy_facts(-1, to_dir, name, st);
}

static int copy_entries(int from, int to, int depth);

/* Closes `look`: a deep tree needs many. */
static int copy_directory(int look, int to_dir, const char *name, const struct statx *st, int depth)
{
    SCOPED_FD from = xopenat(look, ".", O_RDONLY | O_DIRECTORY, 0);
    xclose(look);
    if (from < 0)
        return from;
    int error = (int)sys3(__NR_mkdirat, to_dir, name, 0700);
    if (error)
        return error;
    SCOPED_FD to = xopenat(to_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    if (to < 0)
        return to;
    error = copy_entries(from, to, depth + 1);
    if (error)
        return error;
    return copy_facts(from, to, "", st);
}

/* What is copied is what has been looked at: by now the name may stand for a device. */
static int copy_entry(int from, int to, const char *name, int depth)
{
    struct statx st;
    SCOPED_FD look = xopenat(from, name, O_PATH | O_NOFOLLOW, 0);
    int error = look < 0 ? look : xstatx(look, "", AT_EMPTY_PATH, &st);
    if (error)
        return error;
    if (st.stx_attributes & STATX_ATTR_MOUNT_ROOT)
        return 0;
    switch (st.stx_mode & S_IFMT) {
    case S_IFDIR:
        return copy_directory(keep(&look), to, name, &st, depth);
    case S_IFREG:
        return copy_file(look, to, name, &st);
    case S_IFLNK:
        return copy_link(look, to, name, &st);
    default:
        return copy_node(to, name, &st);
    }
}

static int copy_entries(int from, int to, int depth)
{
    char names[NAMES_SIZE] __attribute__((aligned(8)));
    if (depth > DEPTH_MAX)
        return because(-ELOOP, DETAIL_TOO_DEEP, NULL);
    for (;;) {
        long length = sys3(__NR_getdents64, from, names, sizeof(names));
        if (length <= 0)
            return (int)length;
        for (long at = 0; at < length;) {
            const struct entry *e = (const struct entry *)(names + at);
            at += e->length;
            if (same_text(e->name, ".") || same_text(e->name, ".."))
                continue;
            int error = copy_entry(from, to, e->name, depth);
            if (error)
                return because(error, DETAIL_COPY_UP, e->name);
        }
    }
}

/* Into the root of `tree`, a mount that is attached nowhere yet, from the directory `target`. The
 * root keeps the mode that it has; it gets the directory's owner unless the options named one. */
int copy_up(int target, int tree, int owner)
{
    struct statx st;
    SCOPED_FD from = xopenat(target, ".", O_RDONLY | O_DIRECTORY, 0);
    if (from < 0)
        return from;
    SCOPED_FD to = xopenat(tree, ".", O_RDONLY | O_DIRECTORY, 0);
    if (to < 0)
        return to;
    int error = xstatx(from, "", AT_EMPTY_PATH, &st);
    if (!error)
        error = copy_entries(from, to, 0);
    if (!error)
        copy_attributes(from, to);
    if (!error && owner)
        error = (int)sys3(__NR_fchown, to, st.stx_uid, st.stx_gid);
    return error;
}
