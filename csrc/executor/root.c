/* The container's root: where it is mounted, and how it becomes "/". */
#include "executor.h"

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
