#define _GNU_SOURCE
#include "shim_proc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

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

int shim_signalfd(unsigned long long mask)
{
    uint64_t wanted = mask;
    long fd = syscall(SYS_signalfd4, -1, &wanted, sizeof wanted, O_CLOEXEC | O_NONBLOCK);

    return fd < 0 ? -errno : (int) fd;
}

int shim_set_subreaper(int on)
{
    return prctl(PR_SET_CHILD_SUBREAPER, (unsigned long) (on != 0), 0, 0, 0) < 0 ? -errno : 0;
}

int shim_pidfd_signal(int pidfd, int number)
{
    return syscall(SYS_pidfd_send_signal, pidfd, number, NULL, 0) < 0 ? -errno : 0;
}

static int describe(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes,
                    const int *stdio, int directory, int group)
{
    sigset_t none, reset;
    int error = directory < 0 ? 0 : posix_spawn_file_actions_addfchdir_np(actions, directory);
    for (int fd = 0; !error && fd < 3; fd++)
        error = posix_spawn_file_actions_adddup2(actions, stdio[fd], fd);
    sigemptyset(&none);
    sigemptyset(&reset);
    sigaddset(&reset, SIGPIPE);
    sigaddset(&reset, SIGXFSZ);
    if (!error)
        error = posix_spawnattr_setsigmask(attributes, &none);
    if (!error)
        error = posix_spawnattr_setsigdefault(attributes, &reset);
    short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    return error ? error
                 : posix_spawnattr_setflags(attributes, group ? flags | POSIX_SPAWN_SETPGROUP
                                                              : flags);
}

int shim_spawn_program(const char *path, char **argv, char **env, const int *stdio, int directory,
                       int group)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    pid_t pid = 0;
    int error = posix_spawn_file_actions_init(&actions);
    if (error)
        return -error;
    error = posix_spawnattr_init(&attributes);
    if (!error) {
        error = describe(&actions, &attributes, stdio, directory, group);
        if (!error)
            error = posix_spawn(&pid, path, &actions, &attributes, argv, env);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return error ? -error : (int) pid;
}
