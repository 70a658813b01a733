/* New file systems: configured and made by fsopen(2), attached when they are complete. */
#include "executor.h"

#define IN_PROC "self/ns/pid_for_children"
_Static_assert(sizeof("/proc/" IN_PROC) == sizeof(PIDNS_OF_CHILDREN), "the same file");

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

/* The pid namespace that our children are born into, from a procfs that no process can replace. */
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
    return fs_set(fs, key, equals + 1);
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
    return fs_set(fs, "mode", mode);
}

static int begin(const char *fstype, const char *source)
{
    SCOPED_FD fs = (int)sys2(__NR_fsopen, fstype, FSOPEN_CLOEXEC);
    int error = fs < 0 || !source[0] ? 0 : fs_set(fs, "source", source);
    return error ? fs_failed(fs, error) : keep(&fs);
}

static int complete(int fs, int error, int64_t attributes)
{
    int fd = error ? error : fs_mount(fs, attributes);
    return fd < 0 ? fs_failed(fs, fd) : fd;
}

static int new_file_system(int target)
{
    SCOPED_FD fs = begin(TEXT(MOUNT, fstype), TEXT(MOUNT, source));
    if (fs < 0)
        return fs == -ENODEV ? because(fs, DETAIL_NO_FILESYSTEM, NULL) : fs;
    int error = keep_mode(fs, target);
    if (!error)
        error = configure_all(fs, TEXT(MOUNT, options), TEXT_LENGTH(MOUNT, options));
    if (!error)
        error = configure_all(fs, TEXT(MOUNT, sb_flags), TEXT_LENGTH(MOUNT, sb_flags));
    return complete(fs, error, INT(MOUNT, attr_set));
}

/* What shows a namespace belongs to the user namespace that this one belongs to: it is made here,
 * before we are in the container's. */
int do_open_fs(void)
{
    SCOPED_FD fs = begin(TEXT(OPEN_FS, fstype), TEXT(OPEN_FS, source));
    if (fs < 0)
        return fs;
    int error = configure_all(fs, TEXT(OPEN_FS, options), TEXT_LENGTH(OPEN_FS, options));
    return fill_slot(INT(OPEN_FS, slot), complete(fs, error, INT(OPEN_FS, attr_set)));
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

/* A kernel's own file system that belongs to a namespace of another user is refused with EPERM;
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
