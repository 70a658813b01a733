#define _GNU_SOURCE
#include "proc.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/securebits.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_FDS 253

/* The system calls take the kernel's mask of 64 bits, whose layout is the one of our masks on
 * every 64-bit machine; libc's sigset_t is larger. */

int shim_sigmask(unsigned long long mask, unsigned long long *old)
{
    uint64_t now = mask, before = 0;

    if (syscall(SYS_rt_sigprocmask, SIG_SETMASK, &now, &before, sizeof now) < 0)
        return -errno;
    *old = before;
    return 0;
}

void shim_reset_signals(void)
{
    unsigned long long before;

    signal(SIGCHLD, SIG_DFL); /* ignored, it would take our children's exit statuses away */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    shim_sigmask(0, &before);
}

int shim_signalfd(unsigned long long mask)
{
    uint64_t wanted = mask;
    long fd = syscall(SYS_signalfd4, -1, &wanted, sizeof wanted, O_CLOEXEC | O_NONBLOCK);

    return fd < 0 ? -errno : (int)fd;
}

int shim_set_subreaper(int on)
{
    return prctl(PR_SET_CHILD_SUBREAPER, (unsigned long)(on != 0), 0, 0, 0) < 0 ? -errno : 0;
}

int shim_pidfd_signal(int pidfd, int number)
{
    return syscall(SYS_pidfd_send_signal, pidfd, number, NULL, 0) < 0 ? -errno : 0;
}

int shim_procfs_pidns(void)
{
    int fd = (int)syscall(SYS_fsopen, "proc", FSOPEN_CLOEXEC);
    long result = -1;

    if (fd >= 0) {
        result = syscall(SYS_fsconfig, fd, FSCONFIG_SET_STRING, "pidns", "/proc/self/ns/pid", 0);
        close(fd);
    }
    return result == 0;
}

int shim_ambient_allowed(void)
{
    return !(prctl(PR_GET_SECUREBITS, 0UL, 0UL, 0UL, 0UL) & SECBIT_NO_CAP_AMBIENT_RAISE);
}

/* All signals get their default action, also those that our caller ignores. */
static int describe(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes,
                    const int *fds, int count, int directory, int group)
{
    sigset_t none, all;
    short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    int error = directory < 0 ? 0 : posix_spawn_file_actions_addfchdir_np(actions, directory);
    for (int i = 0; !error && i < count; i++)
        error = fds[i] < 0 ? 0 : posix_spawn_file_actions_adddup2(actions, fds[i], i);
    if (!error)
        error = posix_spawn_file_actions_addclosefrom_np(actions, count);
    sigemptyset(&none);
    sigfillset(&all);
    if (!error)
        error = posix_spawnattr_setsigmask(attributes, &none);
    if (!error)
        error = posix_spawnattr_setsigdefault(attributes, &all);
    if (group)
        flags |= POSIX_SPAWN_SETPGROUP;
    return error ? error : posix_spawnattr_setflags(attributes, flags);
}

static int spawn(const char *path, char **argv, char **env, const int *fds, int count,
                 int directory, int group)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    pid_t pid = 0;
    int error = posix_spawn_file_actions_init(&actions);
    if (error)
        return -error;
    error = posix_spawnattr_init(&attributes);
    if (!error) {
        error = describe(&actions, &attributes, fds, count, directory, group);
        if (!error)
            error = posix_spawn(&pid, path, &actions, &attributes, argv, env);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return error ? -error : (int)pid;
}

int shim_spawn_program(const char *path, char **argv, char **env, const int *fds, int count,
                       int directory, int group)
{
    int moved[MAX_FDS], have = 0, result = 0;
    if (count > MAX_FDS)
        return -E2BIG;
    /* Out of the way first, so that none lands on another's place. */
    for (; result >= 0 && have < count; have++) {
        moved[have] = fcntl(fds[have], F_DUPFD_CLOEXEC, count);
        if (moved[have] < 0 && (errno != EBADF || fds[have] != have))
            result = -errno;
    }
    if (result >= 0)
        result = spawn(path, argv, env, moved, count, directory, group);
    while (have--)
        if (moved[have] >= 0)
            close(moved[have]);
    return result;
}
