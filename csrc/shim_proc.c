#define _GNU_SOURCE
#include "shim_proc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
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
