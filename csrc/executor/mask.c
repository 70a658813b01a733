/* Files of the container's own that are mounted over others: masks, and device nodes that the
 * container's root could not make.
 *
 * They lie in a tmpfs of the container's own. What a container does to a mask (chmod, inotify, a mount
 * over it) must never reach a file of the host, so the host's /dev/null does not serve as one.
 */
#include "executor.h"

#define OWN_NODE (-1000) /* in a slot: made, and not yet opened as a mount */
#define MASK "mask"

static int new_tmpfs(const char *label, const char *inodes, int64_t attributes)
{
    SCOPED_FD fs = (int)sys2(__NR_fsopen, "tmpfs", FSOPEN_CLOEXEC);
    if (fs < 0)
        return fs;
    int error = fs_set(fs, "nr_blocks", "1");
    if (!error && inodes)
        error = fs_set(fs, "nr_inodes", inodes);
    if (!error && label[0])
        error = fs_set(fs, "context", label);
    return error ? error : fs_mount(fs, attributes);
}

static int make_node(int dir, const char *name, int64_t mode, int64_t device)
{
    long umask = sys1(__NR_umask, 0);
    int error = (int)sys4(__NR_mknodat, dir, name, mode, kernel_device(device));
    sys1(__NR_umask, umask);
    return error;
}

static int make_null(int dir, const char *name)
{
    return make_node(dir, name, S_IFCHR | 0666, (int64_t)1 << 32 | 3);
}

/* Where the image has none, or has something else in its place. */
int open_own_null(void)
{
    SCOPED_FD fs = new_tmpfs(ex.mask_label, "2", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
    int error = fs < 0 ? fs : make_null(fs, MASK);
    SCOPED_FD look = error ? error : xopenat(fs, MASK, O_PATH | O_NOFOLLOW, 0);
    return look < 0 ? look : reopen(look, O_RDWR);
}

/* The file that masks others is a null device: what is written there is gone, as with other runtimes.
 * Who may not make one uses an empty file, which refuses to be written. */
int do_own_files(void)
{
    ex.mask_label = TEXT(OWN_FILES, label);
    ex.own_files = new_tmpfs(ex.mask_label, NULL, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
    if (ex.own_files < 0)
        return ex.own_files;
    int error = make_null(ex.own_files, MASK);
    if (error == -EPERM) {
        SCOPED_FD fd = xopenat(ex.own_files, MASK, O_CREAT | O_EXCL | O_WRONLY, 0444);
        error = fd < 0 ? fd : 0;
    }
    return error;
}

/* A device that is bound later, from this slot. Where there is a container around us that forbids to
 * make it, it is the host's: the device can be used, the file cannot be changed. */
int do_own_node(void)
{
    char name[24];
    int64_t slot = INT(OWN_NODE, slot), uid = INT(OWN_NODE, uid), gid = INT(OWN_NODE, gid);
    if (slot < ex.slot_count || slot >= MAX_SLOTS)
        return -EBADF;
    put_number(name, slot);
    int error = make_node(ex.own_files, name, INT(OWN_NODE, mode), INT(OWN_NODE, device));
    if (error == -EPERM)
        return fill_slot(slot, clone_device(TEXT(OWN_NODE, path)));
    if (!error && (uid || gid))
        error = (int)sys5(__NR_fchownat, ex.own_files, name, uid, gid, AT_SYMLINK_NOFOLLOW);
    if (!error)
        ex.slots[slot] = OWN_NODE;
    return error;
}

static int open_slots(void)
{
    char name[24];
    for (int slot = ex.slot_count; slot < MAX_SLOTS; slot++) {
        if (ex.slots[slot] != OWN_NODE)
            continue;
        put_number(name, slot);
        ex.slots[slot] = clone_tree(ex.own_files, name, 0);
        if (ex.slots[slot] < 0)
            return ex.slots[slot];
    }
    return 0;
}

/* Before Linux 6.15 only a mount that is attached can be copied: for a moment it lies on the root,
 * which is a private mount of ours, and where nothing else has been mounted yet. */
int open_own_files(void)
{
    char path[32];
    if (ex.own_files < 0)
        return 0;
    int error = attach(ex.own_files, ex.rootfs);
    if (error)
        return error;
    ex.masked_file = clone_tree(ex.own_files, MASK, 0);
    error = ex.masked_file < 0 ? ex.masked_file : open_slots();
    if (!error)
        error = set_private(ex.masked_file, MOUNT_ATTR_RDONLY, 0);
    fd_path(path, ex.own_files);
    int left = (int)sys2(__NR_umount2, path, MNT_DETACH);
    xclose(keep(&ex.own_files));
    return error ? error : left;
}

/* All masked files are one file, and all masked directories one read-only tmpfs: a file system of its
 * own for each would cost the kernel far more than a second mount of one. */
int hide(int target)
{
    struct statx st;
    int error = xstatx(target, "", AT_EMPTY_PATH, &st);
    if (error)
        return error;
    int directory = is_type(&st, S_IFDIR), first = 0;
    int *mask = directory ? &ex.masked_dir : &ex.masked_file;
    SCOPED_FD tree = -1;
    if (directory) {
        first = *mask < 0;
        tree = first ? new_tmpfs(ex.mask_label, "1", MOUNT_ATTR_RDONLY) : clone_tree(*mask, "", 0);
    } else {
        first = !ex.has_masked_file;
        tree = first ? keep(mask) : clone_tree(*mask, "", 0);
        ex.has_masked_file = 1;
    }
    if (tree < 0)
        return tree;
    error = attach(tree, target);
    if (!error) /* on a shared mount it has become shared, too */
        error = set_private(tree, 0, 0);
    if (!error && first)
        *mask = keep(&tree);
    return error;
}

int do_mask(void)
{
    SCOPED_FD target = path_open(TEXT(MASK, path), O_PATH);
    if (target == -ENOENT || target == -ENOTDIR)
        return 0;
    return target < 0 ? target : hide(target);
}
