/* Without pivot_root the host's mounts stay in the container's mount namespace, below its root.
 *
 * The kernel lets who is root of a user namespace mount a new proc or sysfs if a whole one is to be
 * seen in the mount namespace already, one without parts hidden. The host's own would be that, and
 * what the container's masks hide would be open again. So they are unmounted, or where they are
 * locked, covered. What they are is read from mountinfo, proc_pid_mountinfo(5):
 *
 *      36 35 98:0 /root /mount/point rw,noatime master:1 - ext4 /dev/sda rw
 *      id parent    |        |                               type
 */
#include "executor.h"

#include <linux/mount.h>

#define ROOM (16 << 20) /* as much of it is used as there is to read */
#define DEPTH_MAX 1000

#ifndef STATX_MNT_ID
#define STATX_MNT_ID 0x1000U
#endif

struct mount {
    int64_t id, parent;
    const char *root, *point, *type;
};

/* The word at *at, ended; *at is behind it. */
static char *next_word(char **at)
{
    char *word = *at, *end = word;
    while (*end && *end != ' ')
        end++;
    *at = *end ? end + 1 : end;
    *end = 0;
    return word;
}

/* Blanks, line breaks and backslashes in a path are written as three octal digits. */
static void unescape(char *s)
{
    char *to = s;
    for (; *s; to++) {
        if (s[0] == '\\' && s[1] && s[2] && s[3]) {
            *to = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
            s += 4;
        } else {
            *to = *s++;
        }
    }
    *to = 0;
}

static void parse(char *line, struct mount *m)
{
    m->id = get_number(next_word(&line));
    m->parent = get_number(next_word(&line));
    next_word(&line);
    m->root = next_word(&line);
    char *point = next_word(&line);
    unescape(point);
    m->point = point;
    while (*line && !same_text(next_word(&line), "-"))
        ;
    m->type = next_word(&line);
}

/* All of mountinfo as an array, and how many there are. */
static int read_mounts(struct mount **mounts, size_t *count)
{
    size_t used = 0, lines = 0;
    SCOPED_FD fd = xopenat(AT_FDCWD, "/proc/self/mountinfo", O_RDONLY, 0);
    char *text = take_memory(ROOM);
    if (fd < 0 || !text)
        return fd < 0 ? because(fd, DETAIL_OPEN, "/proc/self/mountinfo") : -ENOMEM;
    for (long got = 1; got > 0; used += (size_t)got) {
        if (used == ROOM - 1)
            return because(-E2BIG, DETAIL_TOO_MANY_MOUNTS, NULL);
        got = xread(fd, text + used, ROOM - 1 - used);
        if (got < 0)
            return (int)got;
    }
    for (size_t i = 0; i < used; i++)
        lines += text[i] == '\n';
    *mounts = take_memory((lines + 1) * sizeof(**mounts));
    if (!*mounts)
        return -ENOMEM;
    for (char *at = text; *count < lines; (*count)++) {
        char *end = (char *)find_char(at, '\n');
        if (!end)
            return because(-EINVAL, DETAIL_NO_MOUNTINFO, "/proc/self/mountinfo");
        *end = 0;
        parse(at, *mounts + *count);
        at = end + 1;
    }
    return 0;
}

static int64_t mount_id(int fd)
{
    struct statx st;
    int error = (int)sys5(__NR_statx, fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &st);
    return error ? error : (int64_t)st.stx_mnt_id;
}

/* Is it the container's root, or mounted somewhere below? */
static int is_ours(const struct mount *m, const struct mount *all, size_t count, int64_t root)
{
    for (int depth = 0; m && depth < DEPTH_MAX; depth++) {
        const struct mount *parent = NULL;
        if (m->id == root)
            return 1;
        for (size_t i = 0; i < count && !parent; i++)
            if (all[i].id == m->parent)
                parent = all + i;
        m = parent;
    }
    return 0;
}

static int take_away(const struct mount *m)
{
    SCOPED_FD fd = xopenat(AT_FDCWD, m->point, O_PATH | O_NOFOLLOW | O_DIRECTORY, 0);
    if (fd < 0 || mount_id(fd) != m->id)
        return 0; /* gone with another one, or below a mount that cannot be entered */
    int error = (int)sys5(__NR_mount, NULL, m->point, NULL, MS_SLAVE | MS_REC, NULL);
    if (error) /* the unmounting must not travel to the host */
        return error;
    error = (int)sys2(__NR_umount2, m->point, MNT_DETACH | UMOUNT_NOFOLLOW);
    return error == -EINVAL || error == -EPERM ? hide(fd) : error;
}

int do_hide_host(void)
{
    struct mount *mounts = NULL;
    size_t count = 0;
    int64_t root = mount_id(ex.rootfs);
    int error = root < 0 ? (int)root : read_mounts(&mounts, &count);
    for (size_t i = count; !error && i; i--) { /* the newest is on top of what was there before */
        const struct mount *m = mounts + i - 1;
        int kernels = same_text(m->type, "proc") || same_text(m->type, "sysfs");
        if (kernels && same_text(m->root, "/") && !is_ours(m, mounts, count, root))
            error = take_away(m);
    }
    return error;
}
