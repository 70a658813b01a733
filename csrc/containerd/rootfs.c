#define _GNU_SOURCE
#include "rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define DATA_MAX 4095 /* of what mount(2) takes */

struct mount {
    char *type, *source, *target;
    struct spans options;
};

static const struct option {
    const char *name;
    bool clears;
    unsigned long flag;
} OPTIONS[] = {
    {"async", true, MS_SYNCHRONOUS},
    {"atime", true, MS_NOATIME},
    {"bind", false, MS_BIND},
    {"defaults", false, 0},
    {"dev", true, MS_NODEV},
    {"diratime", true, MS_NODIRATIME},
    {"dirsync", false, MS_DIRSYNC},
    {"exec", true, MS_NOEXEC},
    {"mand", false, MS_MANDLOCK},
    {"noatime", false, MS_NOATIME},
    {"nodev", false, MS_NODEV},
    {"nodiratime", false, MS_NODIRATIME},
    {"noexec", false, MS_NOEXEC},
    {"nomand", true, MS_MANDLOCK},
    {"norelatime", true, MS_RELATIME},
    {"nostrictatime", true, MS_STRICTATIME},
    {"nosuid", false, MS_NOSUID},
    {"rbind", false, MS_BIND | MS_REC},
    {"relatime", false, MS_RELATIME},
    {"remount", false, MS_REMOUNT},
    {"ro", false, MS_RDONLY},
    {"rw", true, MS_RDONLY},
    {"strictatime", false, MS_STRICTATIME},
    {"suid", true, MS_NOSUID},
    {"sync", false, MS_SYNCHRONOUS},
};

/* Handled by other programs, or by newer versions of containerd before a shim sees them. */
static bool is_foreign(const char *option)
{
    return !strcmp(option, "loop") || !strncmp(option, "uidmap=", 7) ||
           !strncmp(option, "gidmap=", 7) || !strncmp(option, "X-containerd.", 13);
}

static char *text_of(struct span span)
{
    char *text = strndup(span.data, span.size);
    return text ? text : xdup("");
}

static char *sort_options(const struct mount *m, unsigned long *flags, struct buf *data)
{
    for (size_t i = 0; i < m->options.count; i++) {
        char *option = text_of(m->options.items[i]);
        size_t at = 0;
        if (is_foreign(option)) {
            char *error = xformat("mount option %s is not supported", option);
            free(option);
            return error;
        }
        while (at < COUNT(OPTIONS) && strcmp(OPTIONS[at].name, option))
            at++;
        if (at == COUNT(OPTIONS)) {
            if (data->size)
                buf_add(data, ",", 1);
            buf_add(data, option, strlen(option));
        } else if (OPTIONS[at].clears) {
            *flags &= ~OPTIONS[at].flag;
        } else {
            *flags |= OPTIONS[at].flag;
        }
        free(option);
    }
    buf_add(data, "", 1);
    return NULL;
}

/* Many layers make more options than a page holds: their paths get shorter in the directory that
 * they have in common. Returns it, opened, or -1. */
static int shorten_layers(struct buf *data)
{
    char *list = strstr(data->data, "lowerdir="), *end, *common, *slash;
    struct buf shorter = {0};
    size_t shared;
    int fd;

    if (!list || (list != data->data && list[-1] != ','))
        return -1;
    list += strlen("lowerdir=");
    end = list + strcspn(list, ",");
    common = strndup(list, (size_t)(end - list));
    shared = strcspn(list, ":,");
    for (char *layer = list; layer < end; layer += strcspn(layer, ":,") + 1) {
        size_t same = 0;
        while (same < shared && layer + same < end && layer[same] == list[same])
            same++;
        shared = same;
    }
    common[shared] = 0;
    slash = strrchr(common, '/');
    fd = slash && slash != common ? (*slash = 0, open(common, O_PATH | O_DIRECTORY | O_CLOEXEC))
                                  : -1;
    if (fd >= 0) {
        size_t cut = strlen(common) + 1;
        buf_add(&shorter, data->data, (size_t)(list - data->data));
        for (char *layer = list; layer < end;) {
            size_t size = strcspn(layer, ":,");
            buf_add(&shorter, layer + cut, size - cut + (layer[size] == ':'));
            layer += size + 1;
        }
        buf_add(&shorter, end, strlen(end) + 1);
        buf_free(data);
        *data = shorter;
    }
    free(common);
    return fd;
}

static char *mount_one(const struct mount *m, const char *target)
{
    unsigned long flags = 0;
    struct buf data = {0};
    char *error = sort_options(m, &flags, &data);
    int here = -1, layers = -1, result;

    if (!error && !strcmp(m->type, "overlay") && data.size > DATA_MAX) {
        here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
        layers = shorten_layers(&data);
    }
    if (!error && data.size > DATA_MAX)
        error = xformat("mount %s on %s: its options are longer than %d bytes", m->type, target,
                        DATA_MAX);
    if (!error) {
        const char *type = flags & MS_BIND ? NULL : m->type;
        if (layers >= 0)
            result = fchdir(layers);
        result = mount(m->source, target, type, flags, data.data);
        if (result == 0 && flags & MS_BIND && flags & ~(unsigned long)(MS_BIND | MS_REC))
            result = mount(NULL, target, NULL, flags | MS_REMOUNT, NULL); /* takes two steps */
        if (result < 0)
            error = xformat("mount %s on %s: %s", m->source, target, strerror(errno));
        if (layers >= 0 && fchdir(here) < 0)
            error = error ? error : xformat("chdir: %s", strerror(errno));
    }
    if (layers >= 0)
        close(layers);
    if (here >= 0)
        close(here);
    buf_free(&data);
    return error;
}

char *rootfs_mount(struct spans mounts, const char *target)
{
    static const struct field FIELDS[] = {
        {1, PB_TEXT, offsetof(struct mount, type)},
        {2, PB_TEXT, offsetof(struct mount, source)},
        {3, PB_TEXT, offsetof(struct mount, target)},
        {4, PB_LIST, offsetof(struct mount, options)},
    };
    char *error = NULL;

    for (size_t i = 0; i < mounts.count && !error; i++) {
        struct mount one = {0};
        /* `target` is where in the root file system; only some snapshotters say it. */
        if (!pb_read(FIELDS, COUNT(FIELDS), mounts.items[i], &one)) {
            error = xdup("malformed mount of the root file system");
        } else if (strstr(one.target, "..")) {
            error = xformat("mount target %s leaves the root file system", one.target);
        } else {
            char *place = xformat("%s%s%s", target, *one.target ? "/" : "", one.target);
            error = mount_one(&one, place);
            free(place);
        }
        free(one.options.items);
    }
    return error;
}

/* mountinfo writes space, tab, newline and backslash as \ooo. */
static void unescape(char *text)
{
    char *out = text;
    while (*text) {
        if (*text == '\\' && text[1] && text[2] && text[3]) {
            *out++ = (char)((text[1] - '0') * 64 + (text[2] - '0') * 8 + (text[3] - '0'));
            text += 4;
        } else {
            *out++ = *text++;
        }
    }
    *out = 0;
}

/* The last mount comes first, and it goes first. */
static int unmount_lines(char *lines, const char *target)
{
    char *line = strsep(&lines, "\n"), *place;
    size_t size = strlen(target);
    int result = lines && *lines ? unmount_lines(lines, target) : 0;

    for (int i = 0; i < 4 && line; i++)
        line = strchr(line, ' ') ? strchr(line, ' ') + 1 : NULL;
    if (!line)
        return result;
    place = line;
    place[strcspn(place, " ")] = 0;
    unescape(place);
    if (strncmp(place, target, size) || (place[size] && place[size] != '/'))
        return result;
    if (umount2(place, UMOUNT_NOFOLLOW) < 0 && errno != EINVAL && errno != ENOENT)
        return umount2(place, UMOUNT_NOFOLLOW | MNT_DETACH) < 0 ? -1 : result;
    return result;
}

int rootfs_unmount(const char *target)
{
    struct span table;
    int result;

    /* The usual case: one mount, with nothing below. EINVAL says that there is none left. */
    for (int i = 0; i < 64 && umount2(target, UMOUNT_NOFOLLOW) == 0; i++)
        ;
    if (errno == EINVAL || errno == ENOENT)
        return 0;
    table = read_file("/proc/self/mountinfo");
    if (!table.data)
        return -1;
    result = unmount_lines(table.data, target);
    free(table.data);
    return result;
}
