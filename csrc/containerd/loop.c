#define _GNU_SOURCE
#include "loop.h"
#include "task.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

static int epoll = -1;
static struct watch signals;

struct timer {
    struct timer *next;
    unsigned id;
    struct timespec at;
    timer_function *call;
    void *argument;
};
static struct timer *timers; /* the first is the next */

struct child {
    struct child *next;
    pid_t pid;
    child_function *call;
    void *argument;
};
static struct child *children;

/* -- descriptors --------------------------------------------------------------------------------- */

int watch_add(struct watch *w, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = w};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, w->fd, &event);
}

void watch_change(struct watch *w, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = w};
    epoll_ctl(epoll, EPOLL_CTL_MOD, w->fd, &event);
}

void watch_remove(struct watch *w)
{
    epoll_ctl(epoll, EPOLL_CTL_DEL, w->fd, NULL);
}

void watch_close(struct watch *w)
{
    if (w->fd < 0)
        return;
    watch_remove(w);
    close(w->fd);
    w->fd = -1;
}

/* -- timers -------------------------------------------------------------------------------------- */

static long until(struct timespec at)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (at.tv_sec - now.tv_sec) * 1000 + (at.tv_nsec - now.tv_nsec) / 1000000;
}

unsigned timer_start(long milliseconds, timer_function *call, void *argument)
{
    static unsigned last;
    struct timer *timer = xalloc(sizeof(*timer)), **place = &timers;

    *timer = (struct timer){.id = ++last ? last : ++last, .call = call, .argument = argument};
    clock_gettime(CLOCK_MONOTONIC, &timer->at);
    timer->at.tv_sec += milliseconds / 1000;
    timer->at.tv_nsec += milliseconds % 1000 * 1000000;
    if (timer->at.tv_nsec >= 1000000000) {
        timer->at.tv_sec++;
        timer->at.tv_nsec -= 1000000000;
    }
    while (*place &&
           ((*place)->at.tv_sec < timer->at.tv_sec ||
            ((*place)->at.tv_sec == timer->at.tv_sec && (*place)->at.tv_nsec <= timer->at.tv_nsec)))
        place = &(*place)->next;
    timer->next = *place;
    *place = timer;
    return timer->id;
}

void timer_stop(unsigned id)
{
    for (struct timer **place = &timers; *place; place = &(*place)->next)
        if ((*place)->id == id) {
            struct timer *timer = *place;
            *place = timer->next;
            free(timer);
            return;
        }
}

/* The milliseconds until the next timer; calls those that are due. -1: there is none. */
static int run_timers(void)
{
    while (timers) {
        struct timer *timer = timers;
        long left = until(timer->at);
        if (left > 0)
            return left < 60000 ? (int)left + 1 : 60000;
        timers = timer->next;
        timer->call(timer->argument);
        free(timer);
    }
    return -1;
}

/* -- children ------------------------------------------------------------------------------------ */

void child_expect(pid_t pid, child_function *call, void *argument)
{
    struct child *child = xalloc(sizeof(*child));
    *child = (struct child){.next = children, .pid = pid, .call = call, .argument = argument};
    children = child;
}

static void ended(struct end end)
{
    for (struct child **place = &children; *place; place = &(*place)->next)
        if ((*place)->pid == end.pid) {
            struct child *child = *place;
            *place = child->next;
            child->call(child->argument, end);
            free(child);
            return;
        }
    process_ended(end);
}

static int exit_status(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void reap(void)
{
    struct end end;
    int status;

    while ((end.pid = waitpid(-1, &status, WNOHANG)) > 0) {
        end.status = exit_status(status);
        clock_gettime(CLOCK_REALTIME, &end.at);
        ended(end);
    }
}

int wait_for(pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return exit_status(status);
}

static void on_signal(struct watch *w, uint32_t events)
{
    struct signalfd_siginfo found;
    (void)events;
    while (read(w->fd, &found, sizeof(found)) == sizeof(found)) {
        if (found.ssi_signo == SIGCHLD)
            reap();
        else
            shim_leave();
    }
}

/* What the new process does before its exec; it shares our memory until then. */
static void become(const struct program *p, volatile int *error)
{
    int high[PROGRAM_FDS];
    sigset_t none;

    sigemptyset(&none);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (p->own_group)
        setpgid(0, 0);
    if (p->dies_with_us)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* First out of the way of the numbers that they are to have. */
    for (int i = 0; i < p->fd_count; i++) {
        int from = p->fds[i] >= 0 ? p->fds[i] : open("/dev/null", O_RDWR | O_CLOEXEC);
        high[i] = fcntl(from, F_DUPFD_CLOEXEC, 64);
        if (high[i] < 0)
            goto failed;
    }
    for (int i = 0; i < p->fd_count; i++)
        if (dup2(high[i], i) < 0)
            goto failed;
    if (p->cwd && chdir(p->cwd) < 0)
        goto failed;
    execvpe(p->argv[0], p->argv, p->env ? p->env : environ);
failed:
    *error = errno;
    _exit(127);
}

pid_t spawn(const struct program *program)
{
    volatile int error = 0;
    pid_t pid = vfork();

    if (pid == 0)
        become(program, &error);
    if (pid > 0 && error) {
        wait_for(pid);
        errno = error;
        return -1;
    }
    return pid;
}

/* -- the loop ------------------------------------------------------------------------------------ */

void loop_init(void)
{
    sigset_t wanted;

    sigemptyset(&wanted);
    sigaddset(&wanted, SIGCHLD);
    sigaddset(&wanted, SIGTERM);
    sigaddset(&wanted, SIGINT);
    sigprocmask(SIG_BLOCK, &wanted, NULL);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    signals = (struct watch){signalfd(-1, &wanted, SFD_NONBLOCK | SFD_CLOEXEC), on_signal};
    if (epoll < 0 || watch_add(&signals, EPOLLIN) < 0)
        exit(1);
}

/* One event at a time: what a handler closes cannot be in a list of those that come next. */
_Noreturn void loop_run(void)
{
    struct epoll_event event;

    for (;;) {
        int count = epoll_wait(epoll, &event, 1, run_timers());
        if (count == 1)
            ((struct watch *)event.data.ptr)->ready(event.data.ptr, event.events);
        else if (count < 0 && errno != EINTR)
            exit(1);
    }
}
