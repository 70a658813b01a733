/* Paths inside the container's root, which may belong to an attacker.
 *
 * Nothing here ever leaves the root: the kernel resolves each path with openat2(RESOLVE_IN_ROOT)
 * (Linux 5.6) and hands back an fd, and everything after works on that fd. Between `rootfs` and
 * `pivot_root` the root is ex.rootfs, afterwards it is "/", the same fd.
 */
#include "executor.h"

#include <linux/magic.h>

#define IN_ROOT (RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)
#define LINKS_MAX 40
#define RACES_MAX 128 /* openat2 says EAGAIN when a rename elsewhere may have fooled it */

int path_resolve(const char *path, int flags, uint64_t resolve)
{
    int fd = -EAGAIN;
    if (ex.rootfs < 0) /* a process that joined a container: its root is ours */
        ex.rootfs = xopenat(AT_FDCWD, "/", O_PATH | O_DIRECTORY, 0);
    for (int i = 0; i < RACES_MAX && fd == -EAGAIN; i++)
        fd = xopenat2(ex.rootfs, path[0] ? path : ".", (uint64_t)flags, IN_ROOT | resolve);
    return fd;
}

/* Open `path` in the root. O_NOFOLLOW in `flags` refuses symlinks in every component. */
int path_open(const char *path, int flags)
{
    uint64_t resolve = flags & O_NOFOLLOW ? RESOLVE_NO_SYMLINKS : 0;
    return path_resolve(path, flags & ~O_NOFOLLOW, resolve);
}

/* The same, but a last component that is a symlink is opened itself. */
int path_open_link(const char *path)
{
    return path_resolve(path, O_PATH | O_NOFOLLOW, 0);
}

/* The part of `path` that exists, as an fd; *rest is where the missing part begins. */
static int open_existing(char *path, char **rest)
{
    size_t end = text_length(path);
    for (;;) {
        char saved = path[end];
        path[end] = 0;
        int fd = path_resolve(path, O_PATH, 0);
        path[end] = saved;
        if (fd >= 0 || (fd != -ENOENT && fd != -ELOOP) || end == 0) {
            *rest = path + end;
            return fd;
        }
        while (end > 0 && path[end - 1] == '/')
            end--;
        while (end > 0 && path[end - 1] != '/')
            end--;
    }
}

static int is_proc(int dir)
{
    struct file_system on;
    return !xfstatfs(dir, &on) && on.type == PROC_SUPER_MAGIC;
}

/* A component exists but leads nowhere, so it is a dangling symlink: put its target in its place,
 * as the kernel would, and let the caller begin again. What procfs says of a magic link is no path
 * to follow. */
static int expand_link(int dir, const char *name, char *path, size_t at, const char *after)
{
    char target[PATH_MAX], result[PATH_MAX];
    if (is_proc(dir))
        return -ELOOP;
    long length = sys4(__NR_readlinkat, dir, name, target, sizeof(target) - 1);
    if (length < 0)
        return length == -EINVAL ? -ENOTDIR : (int)length;
    size_t before = target[0] == '/' ? 0 : at, tail = text_length(after);
    if (before + (size_t)length + tail + 2 > PATH_MAX)
        return -ENAMETOOLONG;
    memcpy(result, path, before);
    memcpy(result + before, target, (size_t)length);
    size_t at_after = before + (size_t)length;
    if (tail)
        result[at_after++] = '/';
    memcpy(result + at_after, after, tail + 1);
    memcpy(path, result, at_after + tail + 1);
    return 0;
}

/* Make one missing directory and step into it; -ELOOP asks for expand_link. */
static int step_into(int dir, const char *name, int mode)
{
    if (same_text(name, ".."))
        return because(-EINVAL, DETAIL_CLIMBS, name);
    int error = (int)sys3(__NR_mkdirat, dir, name, mode);
    if (error && error != -EEXIST)
        return error;
    ex.made_dir = !error;
    int fd = xopenat(dir, name, O_PATH | O_NOFOLLOW | O_DIRECTORY, 0);
    return fd == -ENOTDIR ? -ELOOP : fd;
}

/* One attempt at making `path`; 1 when a symlink was expanded and it must begin again. */
static int make_dir_once(char *path, int mode, int *result)
{
    char *rest;
    SCOPED_FD dir = open_existing(path, &rest);
    if (dir < 0)
        return dir;
    while (*rest) {
        char *slash = (char *)find_char(rest, '/'), *after = slash ? slash + 1 : NULL;
        if (slash)
            *slash = 0;
        if (*rest && !same_text(rest, ".")) {
            int next = step_into(dir, rest, mode);
            if (next == -ELOOP) {
                int error = expand_link(dir, rest, path, (size_t)(rest - path), after ? after : "");
                return error ? error : 1;
            }
            if (next < 0)
                return next;
            xclose(dir);
            dir = next;
        }
        if (slash)
            *slash = '/';
        rest = after ? after : rest + text_length(rest);
    }
    *result = keep(&dir);
    return 0;
}

static int make_dir(const char *path, size_t length, int mode)
{
    char copy[PATH_MAX];
    int fd = -1;
    if (length >= PATH_MAX)
        return -ENAMETOOLONG;
    memcpy(copy, path, length);
    copy[length] = 0;
    for (int i = 0; i < LINKS_MAX; i++) {
        int error = make_dir_once(copy, mode, &fd);
        if (error <= 0)
            return error ? error : fd;
    }
    return -ELOOP;
}

/* Symlinks, which are the image's, lead no mount onto or into procfs: whoever reads or writes there
 * believes it (CVE-2019-16884). What config.json names itself has been looked at before. */
static int check_place(int fd, const char *path)
{
    return is_proc(fd) ? because(-ECANCELED, DETAIL_INSIDE_PROC, path) : 0;
}

static int is_root(int fd)
{
    struct statx st, root;
    return !xstatx(fd, "", AT_EMPTY_PATH, &st) && !xstatx(ex.rootfs, "", AT_EMPTY_PATH, &root) &&
           st.stx_mnt_id == root.stx_mnt_id && st.stx_ino == root.stx_ino;
}

/* Open where something is to be mounted. */
static int open_place(const char *path, int flags)
{
    SCOPED_FD fd = path_open(path, flags | O_NOFOLLOW);
    if (fd != -ELOOP)
        return keep(&fd);
    fd = path_open(path, flags);
    int error = fd < 0 ? fd : check_place(fd, path);
    if (!error && is_root(fd))
        error = because(-ECANCELED, DETAIL_LINK_TO_ROOT, path);
    return error ? error : keep(&fd);
}

/* Open the directory `path`, which no symlink stands for, making what is missing of it. */
int path_plain_dir(const char *path, int mode)
{
    const char *name;
    SCOPED_FD fd = path_open(path, O_PATH | O_NOFOLLOW);
    if (fd == -ENOENT)
        return path_make_dir(path, mode);
    if (fd != -ELOOP)
        return keep(&fd);
    SCOPED_FD dir = path_parent(path, &name);
    int error = dir < 0 ? dir : check_place(dir, path);
    return error ? error : step_into(dir, name, mode);
}

/* Open the directory `path`, making what is missing of it. */
int path_make_dir(const char *path, int mode)
{
    int fd = open_place(path, O_PATH | O_DIRECTORY);
    ex.made_dir = 0;
    return fd == -ENOENT || fd == -ELOOP ? make_dir(path, text_length(path), mode) : fd;
}

/* The directory that holds the last component of `path`, made if it is missing. */
int path_parent(const char *path, const char **name)
{
    size_t end = text_length(path);
    while (end > 1 && path[end - 1] == '/')
        end--;
    size_t start = end;
    while (start > 0 && path[start - 1] != '/')
        start--;
    *name = path + start;
    if (start == end || path[end] || same_text(*name, "..") || same_text(*name, "."))
        return because(-EINVAL, DETAIL_NO_FILE_NAME, path);
    return make_dir(path, start, 0755);
}

/* One attempt at making the file; 1 when it is a symlink to nowhere, which `path` then follows. */
static int make_file_once(char *path, int mode, int *result)
{
    const char *name;
    SCOPED_FD dir = path_parent(path, &name);
    if (dir < 0)
        return dir;
    SCOPED_FD made = xopenat(dir, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY, mode);
    if (made == -EEXIST) {
        int error = expand_link(dir, name, path, (size_t)(name - path), "");
        return error ? error : 1;
    }
    if (made < 0)
        return made;
    *result = xopenat(dir, name, O_PATH | O_NOFOLLOW, 0);
    return *result < 0 ? *result : 0;
}

/* Open the file `path` for mounting over it, making an empty one if it is missing. */
int path_make_file(const char *path, int mode)
{
    char copy[PATH_MAX];
    size_t length = text_length(path);
    int fd = open_place(path, O_PATH);
    if (fd != -ENOENT)
        return fd;
    if (length >= sizeof(copy))
        return -ENAMETOOLONG;
    memcpy(copy, path, length + 1);
    for (int i = 0; i < LINKS_MAX; i++) {
        int error = make_file_once(copy, mode, &fd);
        if (error <= 0)
            return error ? error : fd;
    }
    return -ELOOP;
}

/* A procfs that we mount for ourselves and never attach anywhere: what a container puts over its
 * own /proc cannot redirect what we write (CVE-2019-16884, CVE-2025-52881). Where the kernel
 * refuses a new one (a user namespace whose /proc is partly hidden), the host's is verified. */
int proc_handle(void)
{
    if (ex.proc >= 0)
        return ex.proc;
    SCOPED_FD fs = (int)sys2(__NR_fsopen, "proc", FSOPEN_CLOEXEC);
    ex.proc = fs < 0 ? fs : fs_mount(fs, 0);
    if (ex.proc >= 0)
        return ex.proc;
    SCOPED_FD fd = xopenat(AT_FDCWD, "/proc", O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
    struct file_system on;
    char self[24], number[24];
    if (fd < 0)
        return fd;
    int error = xfstatfs(fd, &on);
    if (error || on.type != PROC_SUPER_MAGIC)
        return error ? error : because(-EXDEV, DETAIL_NO_PROCFS, NULL);
    /* Another pid namespace's would give another process our number. */
    long length = sys4(__NR_readlinkat, fd, "self", self, sizeof(self) - 1);
    self[length > 0 ? length : 0] = 0;
    put_number(number, sys0(__NR_getpid));
    if (!same_text(self, number))
        return because(-EXDEV, DETAIL_OTHER_PROCFS, NULL);
    return ex.proc = keep(&fd);
}

static int has_dots(const char *path)
{
    for (const char *at = path; at; at = find_char(at, '/')) {
        at += *at == '/';
        if (at[0] == '.' && at[1] == '.' && (!at[2] || at[2] == '/'))
            return 1;
    }
    return 0;
}

/* Write `value` to a file below `dir` that no symlink, no `..` and no other mount leads to. */
int write_file_at(int dir, const char *path, const char *value, size_t length)
{
    uint64_t resolve =
        RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV | RESOLVE_BENEATH;
    if (dir < 0)
        return dir;
    if (has_dots(path))
        return because(-EINVAL, DETAIL_NAME_CLIMBS, path);
    SCOPED_FD fd = xopenat2(dir, path, O_WRONLY, resolve);
    if (fd < 0)
        return fd;
    long written = xwrite(fd, value, length);
    if (written < 0)
        return (int)written;
    return (size_t)written == length ? 0 : -EIO;
}
