#define _GNU_SOURCE
#include "cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/vfs.h>
#include <unistd.h>

#define ROOT "/sys/fs/cgroup"

static const char *const NAMES[CONTROLLERS] = {
    "cpu", "cpuacct", "memory", "pids", "blkio", "hugetlb",
};

static bool is_unified(void)
{
    struct statfs found;
    return statfs(ROOT, &found) == 0 && found.f_type == CGROUP2_SUPER_MAGIC;
}

static bool in_list(const char *list, const char *word)
{
    size_t size = strlen(word);
    for (; list; list = strchr(list, ',') ? strchr(list, ',') + 1 : NULL)
        if (!strncmp(list, word, size) && (!list[size] || list[size] == ','))
            return true;
    return false;
}

void cgroup_init(struct cgroup *cgroup)
{
    *cgroup = (struct cgroup){.memory.fd = -1};
}

/* Lines of NUMBER:CONTROLLERS:PATH. */
bool cgroup_find(struct cgroup *cgroup, pid_t pid)
{
    char *file = xformat("/proc/%d/cgroup", pid);
    struct span content = read_file(file);
    char *rest = content.data, *line;
    bool unified = is_unified(), found = false;

    free(file);
    while ((line = strsep(&rest, "\n"))) {
        char *names = strchr(line, ':'), *path = names ? strchr(names + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = 0;
        names++;
        if (unified && !*names) {
            cgroup->unified = xformat(ROOT "%s", path);
            found = true;
        }
        for (int i = 0; i < CONTROLLERS && !unified; i++)
            if (*names && in_list(names, NAMES[i]) && !cgroup->paths[i]) {
                cgroup->paths[i] = xformat(ROOT "/%s%s", NAMES[i], path);
                found = true;
            }
    }
    free(content.data);
    return found;
}

void cgroup_free(struct cgroup *cgroup)
{
    watch_close(&cgroup->memory);
    free(cgroup->unified);
    for (int i = 0; i < CONTROLLERS; i++)
        free(cgroup->paths[i]);
    cgroup_init(cgroup);
}

/* -- out of memory ------------------------------------------------------------------------------- */

static uint64_t kills(const struct cgroup *cgroup)
{
    char *path = xformat("%s/memory.events", cgroup->unified);
    struct span content = read_file(path);
    char *found = content.data ? strstr(content.data, "oom_kill ") : NULL;
    uint64_t count = found ? strtoull(found + 9, NULL, 10) : 0;

    free(path);
    free(content.data);
    return count;
}

/* v1 tells of each time that the limit was met, before it kills; v2, that any number has changed. The
 * removal of the cgroup is an event, too. */
static void on_memory(struct watch *w, uint32_t events)
{
    struct cgroup *cgroup = (struct cgroup *)((char *)w - offsetof(struct cgroup, memory));
    char waste[4096];
    const char *directory = cgroup->unified ? cgroup->unified : cgroup->paths[MEMORY];
    uint64_t now;

    (void)events;
    /* v2's event comes a moment after the number has changed: that is looked at in any case. */
    if (read(w->fd, waste, sizeof(waste)) < 0 && errno == EAGAIN && !cgroup->unified)
        return;
    if (access(directory, F_OK) < 0) {
        watch_close(w);
        return;
    }
    now = cgroup->unified ? kills(cgroup) : cgroup->oom_kills + 1;
    if (now > cgroup->oom_kills)
        cgroup->on_oom(cgroup->argument);
    cgroup->oom_kills = now;
}

void cgroup_check_memory(struct cgroup *cgroup)
{
    if (cgroup->memory.fd >= 0)
        on_memory(&cgroup->memory, 0);
}

static int watch_v1(const char *directory)
{
    char *path = xformat("%s/memory.oom_control", directory), text[32];
    int file = open(path, O_RDONLY | O_CLOEXEC), control = -1, fd = -1;

    free(path);
    if (file >= 0) {
        path = xformat("%s/cgroup.event_control", directory);
        control = open(path, O_WRONLY | O_CLOEXEC);
        fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        free(path);
        snprintf(text, sizeof(text), "%d %d", fd, file);
        if (control < 0 || write(control, text, strlen(text)) < 0) {
            close(fd);
            fd = -1;
        }
        if (control >= 0)
            close(control);
        close(file);
    }
    return fd;
}

static int watch_v2(const char *directory)
{
    char *path = xformat("%s/memory.events", directory);
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

    if (fd >= 0 && inotify_add_watch(fd, path, IN_MODIFY | IN_DELETE_SELF) < 0) {
        close(fd);
        fd = -1;
    }
    free(path);
    return fd;
}

void cgroup_watch_memory(struct cgroup *cgroup, void (*on_oom)(void *), void *argument)
{
    int fd = cgroup->unified         ? watch_v2(cgroup->unified)
             : cgroup->paths[MEMORY] ? watch_v1(cgroup->paths[MEMORY])
                                     : -1;
    if (fd < 0)
        return;
    cgroup->memory = (struct watch){fd, on_memory};
    cgroup->on_oom = on_oom;
    cgroup->argument = argument;
    cgroup->oom_kills = cgroup->unified ? kills(cgroup) : 0;
    if (watch_add(&cgroup->memory, EPOLLIN) < 0)
        watch_close(&cgroup->memory);
}

/* -- processes ----------------------------------------------------------------------------------- */

static void add_pids(const char *directory, struct pids *pids, int depth)
{
    char *path = xformat("%s/cgroup.procs", directory);
    struct span content = read_file(path);
    char *rest = content.data, *line;
    struct dirent *entry;
    DIR *listing;

    free(path);
    while ((line = strsep(&rest, "\n")))
        if (*line) {
            pids->items = xgrow(pids->items, (pids->count + 1) * sizeof(*pids->items));
            pids->items[pids->count++] = atoi(line);
        }
    free(content.data);
    listing = depth ? opendir(directory) : NULL;
    while (listing && (entry = readdir(listing)))
        if (entry->d_type == DT_DIR && *entry->d_name != '.') {
            path = xformat("%s/%s", directory, entry->d_name);
            add_pids(path, pids, depth - 1);
            free(path);
        }
    if (listing)
        closedir(listing);
}

void cgroup_pids(const struct cgroup *cgroup, struct pids *pids)
{
    const char *directory = cgroup->unified         ? cgroup->unified
                            : cgroup->paths[PIDS]   ? cgroup->paths[PIDS]
                            : cgroup->paths[MEMORY] ? cgroup->paths[MEMORY]
                                                    : cgroup->paths[CPU];
    *pids = (struct pids){0};
    if (directory)
        add_pids(directory, pids, 64);
}

static int join(const char *directory)
{
    char *path = xformat("%s/cgroup.procs", directory);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    int result = fd >= 0 && write(fd, "0", 1) == 1 ? 0 : -1, error = errno;

    if (fd >= 0)
        close(fd);
    free(path);
    errno = error;
    return result;
}

int cgroup_join(const char *name)
{
    const char *slash = *name == '/' ? "" : "/";
    struct dirent *entry;
    int joined = 0;
    DIR *listing;
    char *path;

    if (is_unified()) {
        path = xformat(ROOT "%s%s", slash, name);
        joined = join(path);
        free(path);
        return joined;
    }
    listing = opendir(ROOT);
    joined = -1;
    errno = ENOENT;
    while (listing && (entry = readdir(listing)))
        if (*entry->d_name != '.') {
            path = xformat(ROOT "/%s%s%s", entry->d_name, slash, name);
            if (access(path, F_OK) == 0)
                joined = join(path);
            free(path);
        }
    if (listing)
        closedir(listing);
    return joined;
}
