/* The event loop: one thread, descriptors, timers and children. */
#ifndef CONTAINERD_LOOP_H
#define CONTAINERD_LOOP_H

#include "base.h"

#include <sys/epoll.h>

/* First member of whatever waits for a descriptor. */
struct watch {
    int fd;
    void (*ready)(struct watch *, uint32_t events);
};

void loop_init(void);
_Noreturn void loop_run(void);

int watch_add(struct watch *w, uint32_t events); /* 0, or -1: EPERM for a regular file */
void watch_change(struct watch *w, uint32_t events);
void watch_remove(struct watch *w);
void watch_close(struct watch *w); /* and the descriptor */

/* Calls once, after a time; an id of 0 is no timer. */
typedef void timer_function(void *argument);
unsigned timer_start(long milliseconds, timer_function *call, void *argument);
void timer_stop(unsigned id);

/* -- children ------------------------------------------------------------------------------------ */

#define PROGRAM_FDS 6

struct program {
    char **argv;
    char **env;           /* NULL: ours */
    const char *cwd;      /* NULL: ours */
    int fds[PROGRAM_FDS]; /* what becomes 0, 1, 2 ...; -1: /dev/null */
    int fd_count;
    bool dies_with_us, own_group;
};

pid_t spawn(const struct program *program); /* or -1 with errno: of the exec, too */
int wait_for(pid_t pid);                    /* its exit status as in struct end, or -1 */

struct end { /* of a process */
    pid_t pid;
    int status; /* as a shell: 128 + signal */
    struct timespec at;
};

/* Who ended, and is not ours by child_expect(), goes to `process_ended` (task.h). */
typedef void child_function(void *argument, struct end end);
void child_expect(pid_t pid, child_function *call, void *argument);

#endif
