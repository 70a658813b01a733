/* What the two halves of the floor share. */
#ifndef FLOOR_H
#define FLOOR_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define CGROUPS_MAX 24
#define PLAN_SIZE 9000      /* bytes, as ours has for this spec */
#define EXECUTOR_SIZE 35000 /* of our executor, which each start copies */
#ifndef MFD_EXEC            /* Linux 6.3 */
#define MFD_NOEXEC_SEAL 8
#define MFD_EXEC 16
#endif

struct cgroup {
    char path[512], name[64];
    int v2;
};

extern struct cgroup cgroups[CGROUPS_MAX];
extern int cgroup_count;
extern const char *bundle, *id;

static inline long must(long result, const char *what)
{
    if (result < 0) {
        fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
        _exit(1);
    }
    return result;
}

#define CALL(call) must(call, #call)

void find_cgroups(const char *below);
void send_message(int fd, const int *fds, int count);
int receive_message(int fd, int *fds);
_Noreturn void child(char **argv);

#endif
