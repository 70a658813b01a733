/* A container's cgroup: its processes, its statistics, and that it ran out of memory. */
#ifndef CONTAINERD_CGROUP_H
#define CONTAINERD_CGROUP_H

#include "loop.h"
#include "wire.h"

enum controller { CPU, CPUACCT, MEMORY, PIDS, BLKIO, HUGETLB, CONTROLLERS };

struct cgroup {
    char *unified;            /* v2: its directory */
    char *paths[CONTROLLERS]; /* v1: its directory of each */
    struct watch memory;      /* an eventfd (v1) or an inotify (v2); fd -1: not watched */
    uint64_t oom_kills;
    void (*on_oom)(void *argument);
    void *argument;
};

void cgroup_init(struct cgroup *cgroup);
bool cgroup_find(struct cgroup *cgroup, pid_t pid); /* that this process is in */
void cgroup_free(struct cgroup *cgroup);

/* Calls `on_oom` when the kernel has killed for want of memory. */
void cgroup_watch_memory(struct cgroup *cgroup, void (*on_oom)(void *), void *argument);
void cgroup_check_memory(struct cgroup *cgroup); /* what has not been noticed yet */

/* All of its processes, also of the cgroups below. */
struct pids {
    pid_t *items;
    size_t count;
};
void cgroup_pids(const struct cgroup *cgroup, struct pids *pids);

/* stats.c: io.containerd.cgroups.v1.Metrics or v2's, and which; NULL: it does not exist. */
const char *cgroup_metrics(const struct cgroup *cgroup, struct buf *metrics);

int cgroup_join(const char *path); /* our own process; 0 or -1 */

#endif
