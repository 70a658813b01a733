/* Masks: what stands for files and directories that config.json hides (linux.maskedPaths). */
#include "executor.h"

/* A small tmpfs that nobody sees yet. */
static int new_tmpfs(const char *inodes, const char *label)
{
    SCOPED_FD fs = (int)sys2(__NR_fsopen, "tmpfs", FSOPEN_CLOEXEC);
    if (fs < 0)
        return fs;
    int error = (int)sys5(__NR_fsconfig, fs, FSCONFIG_SET_STRING, "nr_blocks", "1", 0);
    if (!error)
        error = (int)sys5(__NR_fsconfig, fs, FSCONFIG_SET_STRING, "nr_inodes", inodes, 0);
    if (!error && label[0])
        error = (int)sys5(__NR_fsconfig, fs, FSCONFIG_SET_STRING, "context", label, 0);
    if (!error)
        error = (int)sys5(__NR_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
    if (error)
        return error;
    return (int)sys3(__NR_fsmount, fs, FSMOUNT_CLOEXEC, 0);
}

/* A file of a mount that is not attached, as a mount. Before Linux 6.15 only what is attached can be
 * cloned: it is, for that moment, over the directory that holds the root, which is private or a
 * slave in the container's mount namespace. */
static int clone_file(int tree, const char *name)
{
    int file = clone_tree(tree, name, 0);
    if (file != -EINVAL)
        return file;
    SCOPED_FD place = xopenat(ex.rootfs, "..", O_PATH | O_DIRECTORY, 0);
    int error = place < 0 ? place : attach(tree, place);
    if (error)
        return error;
    file = clone_tree(tree, name, 0);
    error = (int)sys1(__NR_fchdir, tree);
    if (!error)
        error = (int)sys2(__NR_umount2, ".", MNT_DETACH);
    if (!error)
        error = (int)sys1(__NR_chdir, "/");
    if (error && file >= 0)
        xclose(file);
    return error ? error : file;
}

/* What stands for each masked file: a null device of the container's own, or an empty file where
 * none can be made (in a user namespace, without CAP_MKNOD). Never the host's /dev/null: who may
 * change its mode or its owner in here would do so for the host (CVE-2025-31133 is related). */
static int file_mask(const char *label)
{
    SCOPED_FD tree = new_tmpfs("2", label);
    if (tree < 0)
        return tree;
    long mask = sys1(__NR_umask, 0);
    int error = (int)sys4(__NR_mknodat, tree, "null", S_IFCHR | 0666, 1 << 8 | 3);
    if (error) {
        SCOPED_FD empty = xopenat(tree, "null", O_CREAT | O_EXCL | O_RDONLY, 0444);
        error = empty < 0 ? empty : 0;
    }
    sys1(__NR_umask, mask);
    return error ? error : clone_file(tree, "null");
}

/* One read-only mask serves every file, and another one every directory: a file system of its own
 * for each would cost the kernel far more than a further mount of the same. */
int hide(int target, const char *label)
{
    struct statx st;
    int error = xstatx(target, "", AT_EMPTY_PATH, &st);
    if (error)
        return error;
    int directory = (st.stx_mode & S_IFMT) == S_IFDIR;
    int *mask = directory ? &ex.dir_mask : &ex.file_mask, first = *mask < 0;
    SCOPED_FD tree = !first     ? clone_tree(*mask, "", 0)
                     : directory ? new_tmpfs("1", label)
                                 : file_mask(label);
    if (tree < 0)
        return tree;
    error = set_own(tree, 0, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, 0);
    if (!error)
        error = attach(tree, target);
    if (!error && first)
        *mask = keep(&tree);
    return error;
}

int do_mask(void)
{
    SCOPED_FD target = path_open(TEXT(MASK, path), O_PATH);
    if (target == -ENOENT || target == -ENOTDIR)
        return 0;
    return target < 0 ? target : hide(target, TEXT(MASK, label));
}
